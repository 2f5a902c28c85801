"""How far decoded audio is from its original: measured over windows, so that any length takes the same memory.

Windows are equally long, of at most 10 seconds, which is what ViSQOL is made for, and of a bounded number of values.
SI-SDR is that of the whole audio; ViSQOL is the mean over windows. Both also say which window is worst; where SI-SDR is
concerned only of those that are not much quieter than the loudest, as there it says little.

Axes: blocks [C, n].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serving.transcode.verify.si_sdr import SiSdr
from serving.transcode.verify.visqol import visqol

WINDOW_SECONDS = 10.0
WINDOW_VALUES = 1 << 23
# Windows by this factor in power, 40 dB, below the loudest are too quiet for SI-SDR to mean much.
QUIET = 1e-4

Block = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Score:
    """A measure's value for all of the audio, and of its worst window, which has that number."""

    value: float
    worst: float
    worst_window: int


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What was measured; `undefined` says of each measure without a value why, by name.

    `original_samples` and `decoded_samples` are how many each signal had; what one has more was not measured.
    """

    si_sdr_db: Score | None = None
    visqol: Score | None = None
    window_samples: int
    original_samples: int
    decoded_samples: int
    undefined: dict[str, str] = field(default_factory=dict)


def measure(
    original: Iterator[Block],
    decoded: Iterator[Block],
    *,
    sample_rate: int,
    channels: int,
    num_samples: int,
    with_visqol: bool,
) -> Quality:
    """Measure `decoded` against `original`, which are expected to have `num_samples` in each channel."""
    length = _window_length(sample_rate, channels, num_samples)
    first, second = _Cut(original, channels), _Cut(decoded, channels)
    total = SiSdr(channels)
    ratios: list[SiSdr] = []
    opinions: list[float | str] = []
    while True:
        wanted, got = first.take(length), second.take(length)
        common = min(wanted.shape[1], got.shape[1])
        if common == 0:
            break
        ratios.append(SiSdr(channels))
        ratios[-1].add(wanted[:, :common], got[:, :common])
        total.merge(ratios[-1])
        if with_visqol:
            opinions.append(visqol(wanted[:, :common], got[:, :common], sample_rate))
    undefined: dict[str, str] = {}
    return Quality(
        si_sdr_db=_ratio_score(total, ratios, undefined),
        visqol=_opinion_score(opinions, undefined),
        window_samples=length,
        original_samples=first.count(),
        decoded_samples=second.count(),
        undefined=undefined,
    )


def _window_length(sample_rate: int, channels: int, num_samples: int) -> int:
    """Return how many samples a window has; the last one may lack a few."""
    most = max(1, min(round(WINDOW_SECONDS * sample_rate), WINDOW_VALUES // channels))
    windows = max(1, -(-num_samples // most))
    return max(1, -(-num_samples // windows))


def _ratio_score(total: SiSdr, ratios: list[SiSdr], undefined: dict[str, str]) -> Score | None:
    value = total.decibels()
    if value is None:
        undefined["si_sdr_db"] = "it is silent"
        return None
    loudest = max(ratio.power for ratio in ratios)
    heard = [
        (found, window)
        for window, ratio in enumerate(ratios)
        if ratio.power >= QUIET * loudest and (found := ratio.decibels()) is not None
    ]
    worst, window = min(heard, default=(value, 0))
    return Score(value=value, worst=worst, worst_window=window)


def _opinion_score(opinions: list[float | str], undefined: dict[str, str]) -> Score | None:
    known = [(opinion, window) for window, opinion in enumerate(opinions) if isinstance(opinion, float)]
    if not known:
        if opinions:
            undefined["visqol"] = str(opinions[0])
        return None
    worst, window = min(known)
    return Score(value=sum(opinion for opinion, _ in known) / len(known), worst=worst, worst_window=window)


class _Cut:
    """Blocks of any length, cut anew."""

    def __init__(self, blocks: Iterator[Block], channels: int) -> None:
        self._blocks = blocks
        self._left: Block = np.empty((channels, 0), np.float32)
        self._taken = 0

    def take(self, length: int) -> Block:
        """Return the next `length` samples, or fewer where the blocks end."""
        parts = [self._left]
        have = self._left.shape[1]
        while have < length and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            have += block.shape[1]
        joined = np.concatenate(parts, axis=1)
        self._left = joined[:, length:].copy()
        self._taken += min(have, length)
        return joined[:, :length]

    def count(self) -> int:
        """Return how many samples there are in all."""
        return self._taken + self._left.shape[1] + sum(block.shape[1] for block in self._blocks)
