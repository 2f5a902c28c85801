"""The gate's policy: what a candidate must show, read from YAML; configs/gate.yaml explains each key."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from codec.checks import check
from codec.errors import RunError

Better = Literal["lower", "higher"]


@dataclass(frozen=True, kw_only=True)
class MetricRule:
    """How much worse a metric may get: by `absolute_margin`, or by `relative_margin` as a share of production's."""

    better: Better
    absolute_margin: float | None = None
    relative_margin: float | None = None

    def __post_init__(self) -> None:
        """Check the direction and the margins.

        Raises:
            ValueError: A value is out of range.
        """
        check(self.better in ("lower", "higher"), "better", self.better, "lower or higher")
        given = [name for name in ("absolute_margin", "relative_margin") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give absolute_margin or relative_margin, one of the two")
        _check_number(given[0], getattr(self, given[0]), lambda margin: margin >= 0, "0 or above")

    @property
    def sign(self) -> int:
        """1 where a higher value is worse, -1 where it is better."""
        return 1 if self.better == "lower" else -1

    def margin(self, production: float) -> float:
        """Return how much worse than `production` is still allowed."""
        if self.absolute_margin is not None:
            return self.absolute_margin
        assert self.relative_margin is not None
        return self.relative_margin * abs(production)


def _default_metrics() -> Mapping[str, MetricRule]:
    return {
        "mel_distance": MetricRule(better="lower", relative_margin=0.01),
        "stoi": MetricRule(better="higher", absolute_margin=0.01),
    }


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a candidate must show; configs/gate.yaml explains each key and has these same values. None doesn't look."""

    confidence: float = 0.95
    min_clips: int = 20
    max_undefined_share: float = 0.1
    metrics: Mapping[str, MetricRule] = field(default_factory=_default_metrics)
    require_better: str | None = "mel_distance"
    min_perplexity_share: float | None = 0.1
    max_dead_share: float | None = 0.5
    min_encode_speed_share: float | None = 0.8
    min_decode_speed_share: float | None = 0.8
    max_size_share: float | None = 1.25

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: A value is out of range.
        """
        _check_number("confidence", self.confidence, lambda value: 0.5 <= value < 1, "from 0.5 to below 1")
        whole = isinstance(self.min_clips, int) and not isinstance(self.min_clips, bool)
        check(whole and self.min_clips >= 2, "min_clips", self.min_clips, "a whole number, at least 2")
        _check_number(
            "max_undefined_share", self.max_undefined_share, lambda value: 0 <= value < 1, "from 0 to below 1"
        )
        wanted = self.require_better
        known = wanted is None or (isinstance(wanted, str) and wanted in self.metrics)
        names = ", ".join(self.metrics) or "none"
        check(known, "require_better", wanted, f"null or one of the metrics ({names})")
        for name in ("min_perplexity_share", "max_dead_share"):
            _check_optional(name, getattr(self, name), lambda value: 0 <= value <= 1, "from 0 to 1, or null")
        for name in ("min_encode_speed_share", "min_decode_speed_share", "max_size_share"):
            _check_optional(name, getattr(self, name), lambda value: value > 0, "above 0, or null")


def read_policy(path: Path) -> Policy:
    """Read a policy from YAML; keys that are left out have their defaults.

    Raises:
        RunError: There is no such file, it is not YAML, or a key is unknown, missing or out of range.
    """
    import yaml

    try:
        data = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"can't read the gate's policy '{path}': {error}") from None
    except yaml.YAMLError as error:
        raise RunError(f"'{path}' is not YAML: {' '.join(str(error).split())}") from None
    try:
        settings = _settings(Policy, {} if data is None else data, "the policy")
        if "metrics" in settings:
            settings["metrics"] = _rules(settings["metrics"])
        return Policy(**settings)
    except ValueError as error:
        raise RunError(f"'{path}': {error}") from None


def _settings(kind: type, data: Any, where: str) -> dict[str, Any]:
    """Return the mapping `data` if it has no other keys than the fields of `kind`.

    Raises:
        ValueError: It is no mapping, or has others.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{where} must be a mapping of keys to values, not {data!r}")
    known = [one.name for one in fields(kind)]
    if unknown := [str(key) for key in data if key not in known]:
        raise ValueError(f"{where} has unknown keys: {', '.join(unknown)}; known are {', '.join(known)}")
    return dict(data)


def _rules(data: Any) -> dict[str, MetricRule]:
    """Return the rules of metrics in a policy's YAML.

    Raises:
        ValueError: A rule is not as it must be; the message names the metric.
    """
    if not isinstance(data, dict) or not data:
        raise ValueError(f"metrics must name at least one metric with its rule, not {data!r}")
    rules = {}
    for name, settings in data.items():
        where = f"metrics.{name}"
        try:
            rules[str(name)] = MetricRule(**({"better": None} | _settings(MetricRule, settings, "the rule")))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return rules


def _check_number(name: str, value: Any, holds: Callable[[float], bool], rule: str) -> None:
    check(is_number(value) and holds(value), name, value, f"a number {rule}")


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < math.inf


def _check_optional(name: str, value: Any, holds: Callable[[float], bool], rule: str) -> None:
    if value is not None:
        _check_number(name, value, holds, rule)
