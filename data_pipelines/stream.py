"""The training stream: endless batches of crops from shards, exactly resumable.

Everything is a function of the order (data_pipelines/order.py), of the mixture if there are several data sets
(data_pipelines/mixture.py), and of the number of batches taken before; there is no other state. The DataLoader takes
batches from its workers in turn, beginning with worker 0, so after `start` batches worker 0 plays the part of worker
`start % workers`. Resuming drops the delivered tokens of the epoch and opens only shards that hold something still to
come. Records that can't be read are replaced (data_pipelines/replacement.py), and each batch brings a report of what
its worker found.

Axes: batches float32 [B, C, T].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count as count_from
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from codec.errors import NacreError
from data_pipelines.crops import cut, room, to_batch
from data_pipelines.damage import DamageReport, join_reports
from data_pipelines.dataset import DataSet
from data_pipelines.mixture import Mixture
from data_pipelines.order import Order, Token
from data_pipelines.replacement import ReplacingReader


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """What batches look like, and the seed of their order; `batch_size` is per rank."""

    segment_samples: int
    batch_size: int
    crops_per_record: int
    seed: int


class Batch(NamedTuple):
    """One batch [B, C, T], and what its worker found damaged since the last one."""

    audio: torch.Tensor
    report: DamageReport


class CropStream(IterableDataset[Batch | NacreError]):
    """Batches [B, C, segment_samples] of split train, for one rank, from batch number `start` on.

    An error of ours is yielded instead of raised: a DataLoader would wrap it in the traceback of its worker. Whoever
    iterates raises it.
    """

    def __init__(self, mixture: Mixture, config: StreamConfig, *, rank: int, world_size: int, start: int) -> None:
        self._mixture = mixture
        self._config = config
        self._rank = rank
        self._world_size = world_size
        self._start = start

    def __iter__(self) -> Iterator[Batch | NacreError]:
        """Yield batches without end, or an error."""
        info = get_worker_info()
        place, workers = (info.id, info.num_workers) if info else (0, 1)
        worker = (place + self._start) % workers
        done = (self._start - worker + workers - 1) // workers
        try:
            yield from self._batches(worker, workers, done)
        except NacreError as error:
            yield error

    def _batches(self, worker: int, workers: int, done: int) -> Iterator[Batch]:
        """Yield what follows the first `done` batches of one reader."""
        size = self._config.batch_size
        readers = [ReplacingReader(data) for data in self._mixture.sets]
        crops = [
            self._crops_from(reader, data, self._order(data, worker, workers), count)
            for reader, data, count in zip(readers, self._mixture.sets, self._mixture.counts(done * size), strict=True)
        ]
        for number in count_from(done):
            chosen = self._mixture.choices(number * size, (number + 1) * size)
            audio = to_batch([next(crops[place]) for place in chosen], self._config.segment_samples)
            yield Batch(audio, join_reports(reader.take_report() for reader in readers))

    def _order(self, data: DataSet, worker: int, workers: int) -> Order:
        return Order(
            shard_sizes=tuple(len(shard.records) for shard in data.index.splits["train"]),
            reader=self._rank * workers + worker,
            readers=self._world_size * workers,
            batch_size=self._config.batch_size,
            crops_per_record=self._config.crops_per_record,
            seed=self._config.seed,
        )

    def _crops_from(
        self, reader: ReplacingReader, data: DataSet, order: Order, done: int
    ) -> Iterator[NDArray[np.int16]]:
        """Yield the crops of a data set that follow its first `done`, epoch after epoch."""
        epoch, skip = divmod(done, order.batches_per_epoch * order.batch_size)
        for number in count_from(epoch):
            yield from self._crops(reader, data, order, number, order.tokens(number)[skip:])
            skip = 0

    def _crops(
        self, reader: ReplacingReader, data: DataSet, order: Order, epoch: int, tokens: list[Token]
    ) -> Iterator[NDArray[np.int16]]:
        """Yield the crops of `tokens` in their order, reading records in the ring's order as they are needed."""
        segment = self._config.segment_samples
        wanted: dict[int, list[Token]] = {}
        for token in sorted(tokens):
            wanted.setdefault(token.position, []).append(token)
        records = self._records(reader, data, order, epoch, list(wanted))
        held: dict[Token, NDArray[np.int16]] = {}
        for token in tokens:
            while token not in held:
                position, samples = next(records)
                for other in wanted[position]:
                    offset = order.crop_offset(epoch, other, room(samples, segment))
                    held[other] = cut(samples, offset, segment)
            yield held.pop(token)

    def _records(
        self, reader: ReplacingReader, data: DataSet, order: Order, epoch: int, positions: list[int]
    ) -> Iterator[tuple[int, NDArray[np.int16]]]:
        """Yield the records at increasing positions of the ring, opening each shard once in a round."""
        shards = data.index.splits["train"]
        key = f"{self._config.seed}-{epoch}-{order.reader}"
        places = zip(positions, order.locate(epoch, positions), strict=True)
        for shard, group in groupby(places, key=lambda place: place[1][0]):
            with reader.open(shards, shard, key) as opened:
                for position, (_, number) in group:
                    samples, replaced = opened.record(number)
                    reader.count_replaced(replaced)
                    yield position, samples
