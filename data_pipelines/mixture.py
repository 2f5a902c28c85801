"""A mixture: several data sets of one kind, whose crops come in proportion to their weights.

Which set a reader's n-th crop comes from is a function of n alone: n times the golden ratio, modulo 1, falls into the
share of one of them. Such a sequence is as even as one can be, and any point of it can be found again without the data,
so a mixture resumes exactly. Each set goes through epochs of its own: a small set with a large weight comes again
sooner.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec.errors import DataError
from data_pipelines.cache import ShardCache
from data_pipelines.dataset import DataSet, open_dataset

GOLDEN_RATIO = 0.6180339887498949


@dataclass(frozen=True, kw_only=True)
class MixedSet:
    """One further data set of a mixture.

    Attributes:
        directory: A local folder or an fsspec URL.
        weight: Crops of it for each crop of `data.directory`.
    """

    directory: str
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Open data sets, and the weight of each."""

    sets: tuple[DataSet, ...]
    weights: tuple[float, ...]

    @property
    def sha256(self) -> str:
        """The hash that stands for all sets and their weights; that of a single set is its own."""
        if len(self.sets) == 1:
            return self.sets[0].sha256
        parts = [[data.sha256, weight] for data, weight in zip(self.sets, self.weights, strict=True)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def choices(self, start: int, stop: int) -> NDArray[np.intp]:
        """Return the number of the set that each of a reader's crops from `start` to `stop` comes from."""
        shares = np.cumsum(self.weights) / sum(self.weights)
        places = (np.arange(start, stop) + 0.5) * GOLDEN_RATIO % 1.0
        return np.searchsorted(shares[:-1], places, side="right")

    def counts(self, crops: int) -> list[int]:
        """Return how many of a reader's first `crops` crops come from each set."""
        return [int(count) for count in np.bincount(self.choices(0, crops), minlength=len(self.sets))]


def open_mixture(directory: str, others: Sequence[MixedSet], cache: ShardCache | None) -> Mixture:
    """Open `directory`, whose weight is 1, and the `others`.

    Raises:
        DataError: One is no data set, is of another sample rate or number of channels, or has no positive weight.
    """
    first = open_dataset(directory, cache)
    sets = [first]
    for other in others:
        if not 0 < other.weight < float("inf"):
            raise DataError(f"the weight of '{other.directory}' in data.mixture is {other.weight}: give a positive one")
        sets.append(open_dataset(other.directory, cache))
        kinds = [(data.index.sample_rate, data.index.channels) for data in (first, sets[-1])]
        if kinds[0] != kinds[1]:
            raise DataError(
                f"'{other.directory}' in data.mixture is {kinds[1][0]} Hz with {kinds[1][1]} channel(s), and"
                f" '{directory}' {kinds[0][0]} Hz with {kinds[0][1]}: build both with the same settings"
            )
    return Mixture(sets=tuple(sets), weights=(1.0, *(other.weight for other in others)))
