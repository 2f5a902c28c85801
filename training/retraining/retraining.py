"""One retraining on disk: NACRE_HOME/retrain/MODEL/SETTINGS-AUDIO-VERSION/, named by hashes and by what it began from.

request.json   the audio it took and the production version it began with
data/          shards of the new audio
fresh/         new clips that are not trained on
survey.json    what the new audio is like
run/           the training run
package/       what was trained
report/        how it was judged, and the page of the decision
decision.json  how it ended; written before it is carried out

So the same request is the same folder: after a kill it goes on where it stopped, from the production version it began
with, and what was decided is not trained again. Audio counts as taken once a decision was made about it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from codec.errors import DataError, RunError
from codec.files import write_text
from codec.home import nacre_home
from registry.reference import ModelReference
from registry.registry import Registry
from training.retraining.decision import Decision
from training.retraining.inbox import Inbox, InboxFile, files_from_json, files_to_json, total_hours
from training.retraining.settings import RetrainSettings

PRODUCTION = "production"
REQUEST = "request.json"
DECISION = "decision.json"
SURVEY = "survey.json"


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """A retraining that has begun: its folder, what it was asked, its audio, and the version that it starts from."""

    folder: Path
    settings: RetrainSettings
    files: tuple[InboxFile, ...]
    production: str

    @property
    def production_number(self) -> int:
        """The number of the version that it starts from."""
        return int(self.production.rpartition(":")[2])

    @property
    def decision(self) -> Decision | None:
        """How it ended; None while it has not."""
        path = self.folder / DECISION
        return Decision.read(path) if path.exists() else None

    @property
    def survey(self) -> dict[str, Any]:
        """What the new audio is like; empty while it was not measured."""
        path = self.folder / SURVEY
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def decide(self, decision: Decision) -> Decision:
        """Write the decision, for good."""
        write_text(self.folder / DECISION, decision.to_json())
        return decision


def model_folder(model: str) -> Path:
    """Return where a model's retrainings lie."""
    return nacre_home() / "retrain" / model


def open_inbox(settings: RetrainSettings) -> Inbox:
    """Return the inbox, with its memory beside the model's retrainings."""
    return Inbox(settings.inbox, model_folder(settings.model) / "inbox.json")


def taken(model: str) -> set[str]:
    """Return the SHA-256 of all audio that a decision was made about."""
    folders = [path.parent for path in model_folder(model).glob(f"*/{DECISION}")]
    return {file.sha256 for folder in folders for file in _files(_read(folder))}


def latest_decision(settings: RetrainSettings) -> Decision | None:
    """Return the latest decision that was made with these settings, None if none was."""
    paths = model_folder(settings.model).glob(f"{settings.key()}-*/{DECISION}")
    newest = max(paths, key=lambda path: path.stat().st_mtime_ns, default=None)
    return None if newest is None else Decision.read(newest)


def unfinished(settings: RetrainSettings) -> Retraining | None:
    """Return the retraining with these settings that has begun and not ended, None if there is none."""
    folders = [path.parent for path in model_folder(settings.model).glob(f"{settings.key()}-*/{REQUEST}")]
    begun = {folder: _read(folder) for folder in folders if not (folder / DECISION).exists()}
    if not begun:
        return None
    folder = max(begun, key=lambda folder: str(begun[folder]["begun"]))
    return _opened(folder, settings, begun[folder])


def superseded(decision: Decision) -> list[Path]:
    """Return the folders of a model's retrainings that began before a decided one and never ended.

    Their settings were changed since, and production may have moved on: nothing goes on with them.
    """
    home = model_folder(decision.model)
    begun = [path.parent for path in home.glob(f"*/{REQUEST}") if not (path.parent / DECISION).exists()]
    decided = str(_read(home / decision.folder.name)["begun"])
    return [folder for folder in begun if str(_read(folder)["begun"]) < decided]


def begin(settings: RetrainSettings, *, everything: bool = False) -> Retraining:
    """Begin a retraining on all new audio in the inbox, or with `everything` on all that is there.

    The same settings, audio and production version are the same retraining, be it decided already.

    Raises:
        UnknownModelError: The model has no production version.
        DataError: There is no inbox, or too little new audio in it.
    """
    production = Registry.open().resolve(ModelReference(name=settings.model, alias=PRODUCTION))
    files = open_inbox(settings).new_files(set() if everything else taken(settings.model))
    if total_hours(files) < settings.limits.min_hours or not files:
        raise DataError(_too_little(settings, files))
    folder = model_folder(settings.model) / f"{settings.key()}-{batch_key(files)}-v{production.version}"
    if (folder / DECISION).exists():
        return _opened(folder, settings, _read(folder))
    data = {
        "begun": datetime.now(UTC).isoformat(timespec="microseconds"),
        "production": str(production),
        "files": files_to_json(files),
    }
    write_text(folder / REQUEST, json.dumps(data, indent=1) + "\n")
    return _opened(folder, settings, data)


def promoted_data(model: str) -> list[Path]:
    """Return the shards of all promoted retrainings of a model, oldest first."""
    paths = sorted(model_folder(model).glob(f"*/{DECISION}"), key=lambda path: path.stat().st_mtime_ns)
    return [path.parent / "data" for path in paths if Decision.read(path).promoted]


def batch_key(files: Sequence[InboxFile]) -> str:
    """Hash the content of a batch of files."""
    return hashlib.sha256("\n".join(sorted(file.sha256 for file in files)).encode()).hexdigest()[:8]


def _too_little(settings: RetrainSettings, files: Sequence[InboxFile]) -> str:
    hours, least = total_hours(files), settings.limits.min_hours
    if not files:
        return f"there is no new audio in '{settings.inbox}': put some there, or take all of it again (--everything)"
    return f"'{settings.inbox}' has {hours:.2f} h of new audio, at least {least:g} h are needed (limits.min_hours)"


def _opened(folder: Path, settings: RetrainSettings, data: dict[str, Any]) -> Retraining:
    return Retraining(folder=folder, settings=settings, files=_files(data), production=data["production"])


def _files(data: dict[str, Any]) -> tuple[InboxFile, ...]:
    return files_from_json(data["files"])


def _read(folder: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads((folder / REQUEST).read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"'{folder / REQUEST}' is missing or damaged ({error}): remove '{folder}'") from None
    return data
