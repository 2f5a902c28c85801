"""Drift: has new audio moved too far from what the model is judged by, and in which way?

Whoever puts telephone calls, room noise or a broken recorder's files into the inbox learns it before anything is
trained. The reference is the validation clips, which say what the model is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from training.retraining.settings import Limits
from training.retraining.survey import Survey, spectral_distance_db


@dataclass(frozen=True, kw_only=True)
class DriftCheck:
    """One measure of the new audio beside its limit; `reference` is that of the validation clips, or None."""

    name: str
    value: float
    reference: float | None
    limit: float
    unit: str

    @property
    def passed(self) -> bool:
        """Whether the value, or its distance from the reference, is within the limit."""
        return abs(self.value - (self.reference or 0.0)) <= self.limit

    @property
    def sentence(self) -> str:
        """The check in a line."""
        beside = "" if self.reference is None else f" beside {self.reference:.2f}"
        return f"{self.name} of the new audio is {self.value:.2f}{beside} {self.unit} (limit {self.limit:g})"

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` can write."""
        return asdict(self) | {"passed": self.passed}


def check_drift(new: Survey, reference: Survey, rejected_share: float, limits: Limits) -> tuple[DriftCheck, ...]:
    """Compare new audio, of whose files a share was rejected by screening, with the reference."""
    return tuple(
        DriftCheck(name=name, value=value, reference=beside, limit=limit, unit=unit)
        for name, value, beside, limit, unit in _measures(new, reference, rejected_share, limits)
        if limit is not None
    )


def _measures(
    new: Survey, reference: Survey, rejected_share: float, limits: Limits
) -> Iterator[tuple[str, float, float | None, float | None, str]]:
    yield "share of unusable files", rejected_share, None, limits.max_rejected_share, "of 1"
    yield "level", new.level_dbfs, reference.level_dbfs, limits.max_level_change_db, "dBFS"
    yield "bandwidth", new.bandwidth_khz, reference.bandwidth_khz, limits.max_bandwidth_change_khz, "kHz"
    yield "share of silence", new.silence_share, reference.silence_share, limits.max_silence_change, "of 1"
    yield "share of files below the codec's sample rate", new.low_rate_share, None, limits.max_low_rate_share, "of 1"
    distance = spectral_distance_db(new, reference)
    yield "distance of long-term spectra", distance, None, limits.max_spectral_distance_db, "dB"
