"""The context model: how likely each code of a stage is, given the codes before it, in integers alone.

A code's distribution is a mixture of C fixed ones, which a context weighs by a gate, as in a mixture of experts
(Jacobs et al. 1991); the context is the stages before in its frame, and all stages of the two frames before. With x the
features of the context:

    x        = clip([sum of `earlier`, sum of `before` (frame - 1), sum of `before` (frame - 2)], -127, 127)
    logits   = x @ gates + biases                        in steps of 2**-11 octaves
    weights  = 2**(16 - (max - logits) / 2048), from a table of 1/32 octaves, normalised to 2**10 in sum
    sizes    = weights @ sizes of the classes, 2**24 in sum

The matrix products run in floating point because that is where the fast libraries are, and are exact: every number in
them is an integer, and no sum exceeds what the type holds exactly (2**24 in fp32, 2**53 in fp64). So no machine, number
of threads or batch gives other probabilities.

Axes: N contexts side by side; K stages, V codes, R features, M = 3R, C classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec.entropy.tables import MIXTURE_BITS, TABLE_BITS, EntropyTables

_STEP_BITS = 6  # of a logit, left out in the table of weights
_OCTAVE_STEPS = 32
_WEIGHT_BITS = 16


def _powers() -> NDArray[np.int64]:
    """Return 2**(16 - d / 32), rounded down, for d from 0 until it is 0: by integer roots, the same everywhere."""
    octaves = _WEIGHT_BITS + 1
    # 2**60 * 2**(-1 / 32), by five integer square roots of a half.
    root = 1 << 59
    for _ in range(5):
        root = math.isqrt(root << 60)
    values, value = [], 1 << 60
    for _ in range(octaves * _OCTAVE_STEPS + 1):
        values.append(value >> (60 - _WEIGHT_BITS))
        value = value * root >> 60
    return np.array(values, np.int64)


_POWERS = _powers()


@dataclass(frozen=True)
class Intervals:
    """`starts`, `sizes` [N]: where codes lie in the cumulative distributions, of 2**24."""

    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]


class Mixture:
    """The context model of one set of tables, unfolded for speed."""

    def __init__(self, tables: EntropyTables) -> None:
        self.num_features = tables.earlier.shape[2]
        self._earlier = tables.earlier.astype(np.int32)
        self._before = tables.before.astype(np.int32)
        self._gates = tables.gates.astype(np.float64)
        self._biases = tables.biases.astype(np.int64)
        ends = tables.sizes.astype(np.int64).cumsum(axis=2)
        starts = np.concatenate([np.zeros_like(ends[..., :1]), ends], axis=2)
        # [K, C, V] for searching a code, [K, V + 1, C] for looking one up; below 2**24 even when weighted.
        self._ends = ends.astype(np.float32)
        self._starts = np.ascontiguousarray(starts.transpose(0, 2, 1))

    def earlier(self, stage: int, codes: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return what codes [N] of a stage add to the features [N, R] for later stages of their frame."""
        return self._earlier[stage, codes]

    def before(self, stage: int, codes: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return what codes [N] of a stage add to the features [N, R] for the next two frames."""
        return self._before[stage, codes]

    def weigh(self, stage: int, features: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the weights [N, C] of the classes for contexts with unclipped features [N, M], 2**10 in sum."""
        logits = (np.clip(features, -127, 127) @ self._gates[stage]).astype(np.int64) + self._biases[stage]
        distance = (logits.max(axis=1, keepdims=True) - logits) >> _STEP_BITS
        powers = _POWERS[np.minimum(distance, len(_POWERS) - 1)]
        weights = (powers << MIXTURE_BITS) // powers.sum(axis=1, keepdims=True)
        rows = np.arange(len(weights))
        weights[rows, logits.argmax(axis=1)] += (1 << MIXTURE_BITS) - weights.sum(axis=1)
        return weights

    def locate(self, stage: int, weights: NDArray[np.int64], codes: NDArray[np.int64]) -> Intervals:
        """Return the intervals of codes [N] of a stage under mixtures of weights [N, C]."""
        starts = (self._starts[stage, codes] * weights).sum(axis=1)
        ends = (self._starts[stage, codes + 1] * weights).sum(axis=1)
        return Intervals(starts, ends - starts)

    def find(self, stage: int, weights: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the codes [N] whose intervals hold `places` [N], each below 2**24."""
        ends = weights.astype(np.float32) @ self._ends[stage]
        return (ends <= places[:, None].astype(np.float32)).sum(axis=1)


assert MIXTURE_BITS + TABLE_BITS == 24
