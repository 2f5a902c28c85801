"""Noise to mix into audio: crops of a second data set, for any step, in any order, and fixed ones for validation.

What a step gets is a function of (seed, step, item) alone, `item` counting through the joint batch of all ranks: it is
the same for any number of ranks and workers, and a resumed run needs no position. To draw without opening a shard for
each crop, all crops of STEPS_PER_SHARD steps come from one shard; shards come in turn, in a new order each round.
Records that can't be read are replaced (data_pipelines/replacement.py).

Axes: noise float32 [B, C, T].
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from codec.errors import DataError
from data_pipelines.crops import cut, room, to_audio
from data_pipelines.damage import DamageReport
from data_pipelines.dataset import DataSet
from data_pipelines.index import ShardEntry
from data_pipelines.replacement import ReplacingReader

STEPS_PER_SHARD = 64


class NoiseSource:
    """Crops of a data set, of split train unless they are to validate; one shard is held at a time."""

    def __init__(self, data: DataSet, *, segment_samples: int, seed: int) -> None:
        self._data = data
        self._reader = ReplacingReader(data)
        self._segment_samples = segment_samples
        self._seed = seed
        self._held: tuple[ShardEntry, list[NDArray[np.int16]]] | None = None

    @property
    def index_sha256(self) -> str:
        """The hash that stands for the data set."""
        return self._data.sha256

    def take_report(self) -> DamageReport:
        """Return what was found damaged since the last time."""
        return self._reader.take_report()

    def check(self, sample_rate: int, channels: int) -> None:
        """Check that it can be mixed into audio of that kind.

        Raises:
            DataError: It is no data set, its rate or channels differ, or its split train is empty.
        """
        index, url = self._data.index, self._data.folder.url
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
            DataError: No shard can be read.
        """
        records = self._records(self._data.index.splits["train"], self._shard_of(step))
        keys = [f"{self._seed}-{step}-{item}-noise" for item in items]
        return torch.stack([_crop(records, key, self._segment_samples) for key in keys])

    def clip(self, key: str, num_samples: int) -> torch.Tensor:
        """Return the noise [C, num_samples] of a validation clip: always the same, of split val if that holds any.

        Raises:
            DataError: No shard can be read.
        """
        splits = self._data.index.splits
        return _crop(self._records(splits["val"] or splits["train"], 0), f"{key}-noise", num_samples)

    def _shard_of(self, step: int) -> int:
        shards = list(range(len(self._data.index.splits["train"])))
        turn, place = divmod(step // STEPS_PER_SHARD, len(shards))
        random.Random(f"{self._seed}-{turn}-noise-shards").shuffle(shards)  # noqa: S311  # reproducible on purpose
        return shards[place]

    def _records(self, shards: Sequence[ShardEntry], number: int) -> list[NDArray[np.int16]]:
        if self._held is None or self._held[0] != shards[number]:
            self._held = None  # the last one's memory goes first
            whole = self._reader.read(shards, number, "noise")
            self._reader.count_replaced(len(whole.replaced))
            self._held = (shards[number], whole.records)
        return self._held[1]


def _crop(records: Sequence[NDArray[np.int16]], key: str, num_samples: int) -> torch.Tensor:
    """Cut the crop [C, num_samples] that `key` decides; a record that is too short for it begins again."""
    rng = random.Random(key)  # noqa: S311  # reproducible on purpose
    samples = records[rng.randrange(len(records))]
    crop = cut(samples, rng.randint(0, room(samples, num_samples)), num_samples)
    repeats = -(-num_samples // len(crop))
    return to_audio(np.tile(crop, (repeats, 1)), num_samples)
