"""What is known of one file after its checks: a line of `report.jsonl`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

# `ok`: all that was asked holds. `failed`: something doesn't, see `reason`. `missing`: a source that no record names.
# `stray`: an output that no record names.
Status = Literal["ok", "failed", "missing", "stray"]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A measure of quality, of which more is better."""

    name: str
    label: str
    unit: str
    digits: int

    def format(self, value: float) -> str:
        """Return a value as people read it."""
        return f"{value:.{self.digits}f} {self.unit}".rstrip()


VISQOL = Measure(name="visqol", label="ViSQOL", unit="", digits=2)
SI_SDR = Measure(name="si_sdr_db", label="SI-SDR", unit="dB", digits=1)
# The one that ranks first, if it was taken.
MEASURES = (VISQOL, SI_SDR)


@dataclass(frozen=True, kw_only=True)
class Floors:
    """What each measure has to reach; None asks nothing, and ViSQOL is only taken where it is asked for."""

    visqol: float | None = None
    si_sdr_db: float | None = None

    def below(self, measure: Callable[[str], float | None]) -> tuple[str, ...]:
        """Return the names of the measures whose values are below their floors."""
        names = []
        for name, floor in dataclasses.asdict(self).items():
            value = measure(name)
            if floor is not None and value is not None and value < floor:
                names.append(name)
        return tuple(names)


@dataclass(frozen=True, kw_only=True)
class Before:
    """What an output was before it was encoded again."""

    measured_kbps: float
    si_sdr_db: float | None = None
    visqol: float | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the checks of one file found.

    `visqol` and `si_sdr_db` are of the whole file, with `_worst` of the worst window of each; that of the measure that
    ranks first begins at `worst_start_s`. `undefined` says why a measure has no value. `below` names the measures that
    miss their floor, and `repaired` what the output was before it was encoded again.
    """

    source: str | None = None
    output: str | None = None
    status: Status
    reason: str | None = None
    seconds: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    measured_kbps: float | None = None
    visqol: float | None = None
    visqol_worst: float | None = None
    si_sdr_db: float | None = None
    si_sdr_db_worst: float | None = None
    worst_start_s: float | None = None
    worst_seconds: float | None = None
    undefined: dict[str, str] | None = None
    below: tuple[str, ...] = ()
    repaired: Before | None = None

    @property
    def name(self) -> str:
        """What the file is called: its source, or a stray output."""
        return self.source or self.output or ""

    def value(self, measure: str) -> float | None:
        """Return the file's value of a measure."""
        found: float | None = getattr(self, measure)
        return found

    @classmethod
    def from_line(cls, line: str) -> Finding:
        """Return what `to_line` wrote."""
        given = json.loads(line)
        if "repaired" in given:
            given["repaired"] = Before(**given["repaired"])
        return cls(**given | {"below": tuple(given.get("below", ()))})

    def to_line(self) -> str:
        """Return the finding as a line of JSON, without what it doesn't have."""
        given = {
            name: rounded(value) for name, value in dataclasses.asdict(self).items() if value not in (None, (), {})
        }
        return json.dumps(given) + "\n"


def rounded(value: Any) -> Any:
    """Round floats to what is meant: another machine's last bits make no other report, and none another judgement."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items() if inner is not None}
    return value
