"""Noise to mix into training audio: crops of a second data set, for any step, in any order.

What a step gets is a function of (seed, step, item) alone, `item` counting through the joint batch of all ranks: it is
the same for any number of ranks and workers, and a resumed run needs no position. To draw without opening a shard for
each crop, all crops of STEPS_PER_SHARD steps come from one shard; shards come in turn, in a new order each round.

Axes: noise float32 [B, C, T].
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from codec.errors import DataError
from data_pipelines.crops import cut, room, to_audio
from data_pipelines.folder import DataFolder
from data_pipelines.index import Index, read_index
from data_pipelines.reader import read_shard

STEPS_PER_SHARD = 64


class NoiseSource:
    """Crops of split train of the data set at `folder`; one shard is held at a time."""

    def __init__(self, folder: DataFolder, *, segment_samples: int, seed: int) -> None:
        self._folder = folder
        self._segment_samples = segment_samples
        self._seed = seed
        self._held: tuple[int, list[NDArray[np.int16]]] | None = None

    @property
    def index_sha256(self) -> str:
        """The hash that stands for the data set."""
        return self._read_index[1]

    def check(self, sample_rate: int, channels: int) -> None:
        """Check that it can be mixed into audio of that kind.

        Raises:
            DataError: It is no data set, its rate or channels differ, or its split train is empty.
        """
        index, url = self._index, self._folder.url
        if (index.sample_rate, index.channels) != (sample_rate, channels):
            raise DataError(
                f"the noise in '{url}' is {index.sample_rate} Hz with {index.channels} channel(s), the audio"
                f" {sample_rate} Hz with {channels}: build it with `nacre data build --sample-rate {sample_rate}"
                f" --channels {channels}`"
            )
        if index.num_records("train") == 0:
            raise DataError(f"the noise in '{url}' has nothing in split train: add audio, and build it again")

    def segments(self, step: int, items: Sequence[int]) -> torch.Tensor:
        """Return the noise [len(items), C, segment_samples] of those items of a step's joint batch.

        Raises:
            DataError: A shard is missing or damaged.
        """
        records = self._records(self._shard_of(step))
        return torch.stack([self._segment(records, step, item) for item in items])

    @cached_property
    def _read_index(self) -> tuple[Index, str]:
        return read_index(self._folder)

    @property
    def _index(self) -> Index:
        return self._read_index[0]

    def _shard_of(self, step: int) -> int:
        shards = list(range(len(self._index.splits["train"])))
        turn, place = divmod(step // STEPS_PER_SHARD, len(shards))
        random.Random(f"{self._seed}-{turn}-noise-shards").shuffle(shards)  # noqa: S311  # reproducible on purpose
        return shards[place]

    def _records(self, shard: int) -> list[NDArray[np.int16]]:
        if self._held is None or self._held[0] != shard:
            self._held = None  # the last one's memory goes first
            entry = self._index.splits["train"][shard]
            records = [record.samples for record in read_shard(self._folder, entry, self._index.channels)]
            self._held = (shard, records)
        return self._held[1]

    def _segment(self, records: list[NDArray[np.int16]], step: int, item: int) -> torch.Tensor:
        """Cut one crop; a record that is too short for it begins again."""
        rng = random.Random(f"{self._seed}-{step}-{item}-noise")  # noqa: S311  # reproducible on purpose
        samples = records[rng.randrange(len(records))]
        offset = rng.randint(0, room(samples, self._segment_samples))
        crop = cut(samples, offset, self._segment_samples)
        repeats = -(-self._segment_samples // len(crop))
        return to_audio(np.tile(crop, (repeats, 1)), self._segment_samples)
