"""The gate: is a candidate better than what is in production, on the same clips at the same bitrates?

A single metric misleads (each is blind to something), so the candidate must lower the mel distance on the whole, and
must not lose noticeably at any bitrate in mel distance or intelligibility.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from training.evaluate import BitrateSummary

# The mel distance may not rise by more than this share at any bitrate.
MEL_TOLERANCE = 0.01
# Intelligibility may not fall by more than this at any bitrate.
STOI_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether to promote, and one sentence for each comparison that decided it."""

    promote: bool
    reasons: tuple[str, ...]


def judge(candidate: Sequence[BitrateSummary], production: Sequence[BitrateSummary]) -> Verdict:
    """Compare two evaluations of the same clips at the same bitrates."""
    pairs = list(zip(candidate, production, strict=True))
    assert all(new.bitrate_kbps == old.bitrate_kbps for new, old in pairs)
    losses = [sentence for new, old in pairs for sentence in _losses(new, old)]
    if losses:
        return Verdict(promote=False, reasons=tuple(losses))
    new_mel, old_mel = (_mean([pair[side].mel_distance for pair in pairs]) for side in (0, 1))
    comparison = f"mean mel distance {new_mel:.4f}, production's is {old_mel:.4f}"
    if not new_mel < old_mel:
        return Verdict(promote=False, reasons=(f"not better: {comparison}",))
    return Verdict(promote=True, reasons=(f"better: {comparison}",))


def _losses(new: BitrateSummary, old: BitrateSummary) -> list[str]:
    """Return a sentence for each metric that `new` loses at its bitrate."""
    found = []
    if not new.mel_distance <= old.mel_distance * (1 + MEL_TOLERANCE):
        found.append(f"mel distance rises from {old.mel_distance:.4f} to {new.mel_distance:.4f}")
    # STOI is undefined for clips that are not speech; then it has no say.
    if not math.isnan(old.stoi) and not new.stoi >= old.stoi - STOI_TOLERANCE:
        found.append(f"STOI falls from {old.stoi:.3f} to {new.stoi:.3f}")
    return [f"at {new.bitrate_kbps:g} kbps {sentence}" for sentence in found]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
