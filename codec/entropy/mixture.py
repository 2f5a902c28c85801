"""The context model: how likely each code of a stage is, given the codes before it, in integers alone.

A code's distribution is a mixture of C fixed ones, which a context weighs by a gate, as in a mixture of experts
(Jacobs et al. 1991); the context is the stages before in its frame, and all stages of the two frames before. With x the
features of the context:

    x        = clip([sum of `earlier`, sum of `before` (frame - 1), sum of `before` (frame - 2)], -127, 127)
    logits   = x @ gates + biases                        in steps of 2**-11 octaves
    weights  = 2**(16 - (max - logits) / 2048), from a table of 1/32 octaves, normalised to 2**10 in sum
    sizes    = weights @ sizes of the classes, 2**24 in sum

The matrix products run in floating point because that is where the fast libraries are, and are exact: every number in
them is an integer, and no sum exceeds what the type holds exactly (2**24 in fp32, 2**53 in fp64, which logits of large
biases need). So no machine, number of threads or batch gives other probabilities.

Axes: N contexts side by side; K stages, V codes, R features, M = 3R, C classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.entropy.tables import MIXTURE_BITS, TABLE_BITS, EntropyTables

_STEP_BITS = 6  # of a logit, from one entry of the table of weights to the next
_OCTAVE_STEPS = 32
_WEIGHT_BITS = 16
# A code is searched for among groups of so many, then within its group.
_GROUP = 32
# Products of more multiplications than this OpenBLAS divides among threads. They wait for each other in a loop, and so
# for every other process on the same cores: two workers on two cores took four times as long.
_SERIAL_PRODUCT = 1 << 18


def _powers() -> NDArray[np.float64]:
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
    return np.array(values, np.float64)


_POWERS = _powers()


@dataclass(frozen=True)
class Intervals:
    """`starts`, `sizes` [N]: where codes lie in the cumulative distributions, of 2**24."""

    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """`codes` [N], and where they lie."""

    codes: NDArray[np.int64]
    intervals: Intervals


# A stage, or those [K, 1] of codes [K, N].
Stage = int | NDArray[np.int64]


class Mixture:
    """The context model of one set of tables, unfolded for speed."""

    def __init__(self, tables: EntropyTables) -> None:
        self.num_features = tables.earlier.shape[2]
        largest = np.abs(tables.gates, dtype=np.int64).sum(axis=1) * 127 + np.abs(tables.biases, dtype=np.int64)
        # Of features and logits: differences of two logits are exact too.
        self.dtype = np.dtype(np.float32 if largest.max() < 1 << 23 else np.float64)
        # By stage and code: [K * V, R].
        self._earlier = tables.earlier.astype(self.dtype).reshape(-1, self.num_features)
        self._before = tables.before.astype(self.dtype).reshape(-1, self.num_features)
        self._codebook_size = tables.codebook_size
        self._gates = tables.gates.astype(self.dtype)
        self._biases = tables.biases.astype(self.dtype)
        # Where codes begin, and the last ends, in each class: [K * (V + 1), C] for looking codes up.
        starts = np.pad(tables.sizes.astype(np.int64).cumsum(axis=2), ((0, 0), (0, 0), (1, 0))).transpose(0, 2, 1)
        starts = np.ascontiguousarray(starts, np.float32)
        self._starts = starts.reshape(-1, starts.shape[2])
        # For searching: where groups end [K, C, G], and all places within each [K, G, C, 33]. What is filled up at the
        # end has no size.
        groups = -(-tables.codebook_size // _GROUP)
        places = np.pad(starts, ((0, 0), (0, groups * _GROUP - tables.codebook_size), (0, 0)), "edge")
        within = np.arange(groups)[:, None] * _GROUP + np.arange(_GROUP + 1)
        self._group_ends = np.ascontiguousarray(places[:, _GROUP::_GROUP].transpose(0, 2, 1), np.float32)
        self._group_places = np.ascontiguousarray(places[:, within].transpose(0, 1, 3, 2), np.float32)

    def earlier(self, stage: Stage, codes: NDArray[np.int64]) -> NDArray[Any]:
        """Return what codes [N] of a stage add to the features [N, R] for later stages of their frame."""
        return self._earlier.take(stage * self._codebook_size + codes, axis=0)

    def before(self, stage: Stage, codes: NDArray[np.int64]) -> NDArray[Any]:
        """Return what codes [N] of a stage add to the features [N, R] for the next two frames."""
        return self._before.take(stage * self._codebook_size + codes, axis=0)

    def weigh(self, stage: int | slice, features: NDArray[Any]) -> NDArray[np.float32]:
        """Return the weights [N, C] of the classes for contexts with unclipped features [N, M], 2**10 in sum.

        Of several stages, [K, N, C] for features [K, N, M].
        """
        logits = _product(np.clip(features, -127, 127), self._gates[stage])
        logits += self._biases[stage][..., None, :]
        shape = logits.shape
        logits = logits.reshape(-1, shape[-1])
        rows, best = np.arange(len(logits)), logits.argmax(axis=1)
        np.subtract(logits[rows, best][:, None], logits, out=logits)
        distance = logits.astype(np.int32) >> _STEP_BITS
        powers = _POWERS.take(distance, mode="clip")
        # The quotient of integers below 2**27 is never within rounding of an integer that it doesn't reach.
        powers /= _sums(powers)[:, None] / (1 << MIXTURE_BITS)
        weights = powers.astype(np.int32).astype(np.float32)
        weights[rows, best] += (1 << MIXTURE_BITS) - _sums(weights)
        return weights.reshape(shape)

    def locate(self, stage: Stage, weights: NDArray[np.float32], codes: NDArray[np.int64]) -> Intervals:
        """Return the intervals of codes [N] of a stage under mixtures of weights [N, C]."""
        places = stage * (self._codebook_size + 1) + codes
        starts, ends = (
            np.einsum("...c,...c->...", self._starts.take(rows, axis=0), weights).astype(np.int64)
            for rows in (places, places + 1)
        )
        return Intervals(starts, ends - starts)

    def find(self, stage: int, weights: NDArray[np.float32], places: NDArray[np.int64]) -> Found:
        """Return the codes [N] whose intervals hold `places` [N], each below 2**24, and the intervals."""
        wanted = places[:, None].astype(np.float32)
        group = (_product(weights, self._group_ends[stage]) <= wanted).sum(axis=1)
        within = (weights[:, None] @ self._group_places[stage][group])[:, 0]
        member = (within[:, 1:] <= wanted).sum(axis=1)
        rows = np.arange(len(member))
        starts = within[rows, member].astype(np.int64)
        ends = within[rows, member + 1].astype(np.int64)
        return Found(group * _GROUP + member, Intervals(starts, ends - starts))


def _sums(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return the sums of rows [N, C], in half the time of numpy's own: integers, so the order is no matter."""
    return np.einsum("nc->n", numbers)


def _product(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """Return the product of [..., N, M] and [..., M, C] on one thread."""
    count, step = left.shape[-2], max(1, _SERIAL_PRODUCT // (right.shape[-2] * right.shape[-1]))
    if count <= step:
        return left @ right
    product = np.empty((*left.shape[:-1], right.shape[-1]), left.dtype)
    for start in range(0, count, step):
        part = ..., slice(start, start + step), slice(None)
        np.matmul(left[part], right, out=product[part])
    return product


assert MIXTURE_BITS + TABLE_BITS == 24
