"""The scale-invariant signal-to-distortion ratio of Le Roux et al. 2019 (arXiv 1811.02508), summed up over blocks.

Each channel's mean is taken off, and channels count together. What is summed is of the original and of the difference,
not of both signals: so nothing cancels out where they are close, and equal ones have no distortion at all.

Bad at: judging codecs that resynthesise; a shift of one sample ruins it, while ears don't notice.

Axes: original, decoded [C, n], float in [-1, 1].
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# As an energy, far below a single step of 24-bit audio.
FLOOR = 1e-10
LIMIT_DB = 100.0


class SiSdr:
    """Sums over audio: of the original x and the difference d, once per channel and as products."""

    def __init__(self, channels: int) -> None:
        self._count = 0
        self._sum_x = np.zeros(channels)
        self._sum_d = np.zeros(channels)
        self._xx = self._dd = self._dx = 0.0

    def add(self, original: NDArray[np.float32], decoded: NDArray[np.float32]) -> None:
        """Take a block of both signals in."""
        x = original.astype(np.float64)
        d = decoded.astype(np.float64) - x
        self._count += x.shape[1]
        self._sum_x += x.sum(axis=1)
        self._sum_d += d.sum(axis=1)
        self._xx += float(np.vdot(x, x))
        self._dd += float(np.vdot(d, d))
        self._dx += float(np.vdot(d, x))

    def merge(self, other: SiSdr) -> None:
        """Take in what `other` took in."""
        self._count += other._count
        self._sum_x += other._sum_x
        self._sum_d += other._sum_d
        self._xx += other._xx
        self._dd += other._dd
        self._dx += other._dx

    @property
    def energy(self) -> float:
        """The original's energy, without its means."""
        return self._centred(self._xx, self._sum_x, self._sum_x)

    @property
    def power(self) -> float:
        """The original's energy in a sample."""
        return self.energy / max(1, self._count)

    def decibels(self) -> float | None:
        """Return the ratio, within 100 dB either way, or None where the original is silent."""
        energy = self.energy
        if energy < FLOOR:
            return None
        cross = self._centred(self._dx, self._sum_d, self._sum_x)
        difference = self._centred(self._dd, self._sum_d, self._sum_d)
        if energy + 2 * cross + difference < FLOOR:  # the decoded signal is silent
            return -LIMIT_DB
        kept = (1 + cross / energy) ** 2 * energy
        distortion = difference - cross**2 / energy
        ratio = 10 * math.log10(max(kept, FLOOR) / max(distortion, FLOOR))
        return max(-LIMIT_DB, min(LIMIT_DB, ratio))

    def _centred(self, products: float, first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
        return products - float(first @ second) / max(1, self._count)
