"""What to retrain, on what, when, and what it must show: configs/retrain.yaml explains each key."""

from __future__ import annotations

import hashlib
import json
from argparse import ArgumentError
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from codec.checks import check
from codec.errors import RunError

PATHS = {"inbox", "validation", "config", "policy"}


@dataclass(frozen=True, kw_only=True)
class Replay:
    """An older data set that is mixed in: `weight` crops of it for each crop of the new audio."""

    directory: str
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """New audio that is not trained on, to judge by: `percent` of the files, at most `max_clips`, cut to `seconds`."""

    percent: float = 10.0
    max_clips: int = 40
    seconds: float = 10.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What new audio must keep to, beside the validation clips; None doesn't look (training/retraining/drift.py)."""

    min_hours: float = 0.0
    max_rejected_share: float | None = 0.5
    max_level_change_db: float | None = 12.0
    max_bandwidth_change_khz: float | None = 2.0
    max_silence_change: float | None = 0.4
    max_low_rate_share: float | None = 0.2
    max_spectral_distance_db: float | None = 10.0


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """When the daemon begins: at `hours` of new audio, when new audio is `days` old, and by `cron` (None: never)."""

    hours: float = 10.0
    days: float | None = 7.0
    cron: str | None = None
    settle_minutes: float = 2.0
    look_every_seconds: int = 60


@dataclass(frozen=True, kw_only=True)
class Notify:
    """Who is told of each end: `url` gets a POST of JSON, `command` the same on its standard input."""

    url: str | None = None
    command: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RetrainSettings:
    """All that a retraining needs to know.

    Attributes:
        model: A registered name; its production version is where training starts.
        inbox: The folder of new audio; files are read, never moved or changed.
        validation: A folder of fixed clips to judge by, never trained on.
        config: A training YAML for the same architecture.
        overrides: Further arguments of `nacre train fit`.
        policy: A YAML of the gate; None for the gate's own values.
        replay: Older data sets that are mixed in.
        earlier_weight: Crops of the audio of earlier promoted retrainings, together, for each crop of the new audio.
        allow_drift: Train on audio that the limits refuse.
    """

    model: str
    inbox: Path
    validation: Path
    config: Path
    overrides: tuple[str, ...] = ()
    policy: Path | None = None
    replay: tuple[Replay, ...] = ()
    earlier_weight: float = 1.0
    fresh: Fresh = field(default_factory=Fresh)
    limits: Limits = field(default_factory=Limits)
    allow_drift: bool = False
    trigger: Trigger = field(default_factory=Trigger)
    notify: Notify = field(default_factory=Notify)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: A value is out of range.
        """
        check(0 <= self.fresh.percent < 100, "fresh.percent", self.fresh.percent, "from 0 to below 100")
        check(self.earlier_weight >= 0, "earlier_weight", self.earlier_weight, "0 or more")
        check(self.limits.min_hours >= 0, "limits.min_hours", self.limits.min_hours, "0 or more")
        check(self.trigger.hours > 0, "trigger.hours", self.trigger.hours, "above 0")
        seconds = self.trigger.look_every_seconds
        check(seconds >= 1, "trigger.look_every_seconds", seconds, "1 or more")

    def key(self) -> str:
        """Hash all that decides how a batch is trained on and judged; when it begins and who is told don't."""
        parts = asdict(replace(self, trigger=Trigger(), notify=Notify()))
        parts |= {
            "config": _content(self.config, "training configuration"),
            "policy": _content(self.policy, "policy") if self.policy else None,
        }
        text = json.dumps(parts | {"inbox": None, "validation": str(self.validation)}, default=str, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def read_settings(path: Path | None, changes: Mapping[str, Any]) -> RetrainSettings:
    """Read settings from YAML, if a file is given, with `changes` over them.

    Relative paths in the file are relative to its folder.

    Raises:
        RunError: There is no such file, it is not YAML, or a key is unknown, missing, of another type or out of range.
    """
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--settings", type=RetrainSettings)
    values = ({} if path is None else _read_yaml(path)) | dict(changes)
    try:
        settings: RetrainSettings = parser.instantiate(parser.parse_object({"settings": values})).settings
    except (ValueError, TypeError, ArgumentError) as error:
        sentence = " ".join(str(error).replace("settings.", "").split())
        raise RunError(sentence if path is None else f"'{path}': {sentence}") from None
    return settings


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"can't read the settings '{path}': {error}") from None
    except yaml.YAMLError as error:
        raise RunError(f"'{path}' is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise RunError(f"'{path}' must be a mapping of keys to values")
    for name in PATHS & data.keys():
        if data[name] is not None:
            data[name] = str(path.absolute().parent / Path(str(data[name])).expanduser())
    if isinstance(data.get("overrides"), list):
        data["overrides"] = [str(word) for word in data["overrides"]]
    return data


def _content(path: Path, what: str) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        raise RunError(f"there is no {what} '{path}'") from None
