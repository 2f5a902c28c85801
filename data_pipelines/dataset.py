"""A data set as training holds it: its folder, its index, and perhaps a cache of its shards on a local disk.

Axes: PCM int16 [T, C].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec.errors import DataError
from data_pipelines.cache import ShardCache
from data_pipelines.folder import DataFolder
from data_pipelines.index import Index, ShardEntry, check_length, check_shard, read_index
from data_pipelines.reader import ShardRecord, parse_shard
from data_pipelines.record import LocalShard, cut_record
from data_pipelines.splits import SPLITS, Split


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What `nacre data build` made; `sha256`, of the index, stands for all of it."""

    folder: DataFolder
    index: Index
    sha256: str
    cache: ShardCache | None

    def read(self, shard: ShardEntry) -> list[NDArray[np.int16] | None]:
        """Return the records of a shard in their order; None for one that is not what the index lists.

        Raises:
            DamageError: The shard is missing, truncated, or damaged on its way over a network.
            DataError: It can't be reached.
        """
        data = self._bytes(shard)
        return [cut_record(data, shard, number, self.index.channels) for number in range(len(shard.records))]

    def read_named(self, shard: ShardEntry) -> list[ShardRecord | None]:
        """Return the records of a shard in their order, with their keys; None for one that is not as listed.

        Raises:
            DamageError: The shard is missing, truncated or damaged.
            DataError: It can't be reached.
        """
        data = self._bytes(shard)
        check_shard(data, shard, self.folder.url)
        return parse_shard(data, shard, self.index.channels, self.folder.url)

    def open(self, shard: ShardEntry) -> LocalShard | None:
        """Open a shard to read single records of; None where it is not on a local disk."""
        path = self.folder.local_path(shard.name)
        return None if path is None else LocalShard(path, shard, self.index.channels)

    def need(self, split: Split) -> None:
        """Check that a split holds anything.

        Raises:
            DataError: It is empty.
        """
        if self.index.num_records(split) > 0:
            return
        counts = ", ".join(f"{self.index.num_files(name)} to {name}" for name in SPLITS)
        remedy = "lower --val-percent and --test-percent" if split == "train" else "raise --val-percent"
        rule = f"'{self.folder.url}' has nothing in split {split} (files went {counts})"
        raise DataError(f"{rule}: add audio or {remedy}, and build the data again")

    def _bytes(self, shard: ShardEntry) -> bytes:
        cached = None if self.cache is None else self.cache.get(shard.sha256)
        if cached is not None:
            return cached
        check = check_length if self.folder.is_local else check_shard
        data = self.folder.read(shard.name, lambda data: check(data, shard, self.folder.url))
        if self.cache is not None:
            self.cache.put(shard.sha256, data)
        return data


def open_dataset(url: str, cache: ShardCache | None = None) -> DataSet:
    """Open the data set in a local folder or at an fsspec URL; a local one needs no cache and has none.

    Raises:
        DataError: There is no index, or it is damaged.
    """
    folder = DataFolder(url)
    index, sha256 = read_index(folder)
    return DataSet(folder=folder, index=index, sha256=sha256, cache=None if folder.is_local else cache)
