"""Single records of a shard: where the index says they are, each checked by its CRC-32C.

On a local disk only what is asked for is read. Reading whole shards to compare their sha256, as what comes over a
network is, costs several times as much as a stream's crops.

Axes: PCM int16 [T, C].
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from data_pipelines.index import ShardEntry


def cut_record(data: bytes, shard: ShardEntry, number: int, channels: int) -> NDArray[np.int16] | None:
    """Return record `number` of a whole shard's bytes; None if it is not what the index lists."""
    start = shard.offsets[number]
    return check_record(data[start : start + _size(shard, number, channels)], shard, number, channels)


def check_record(pcm: bytes, shard: ShardEntry, number: int, channels: int) -> NDArray[np.int16] | None:
    """Return record `number` of its own bytes; None if they are not what the index lists."""
    if len(pcm) != _size(shard, number, channels) or google_crc32c.value(pcm) != shard.crc32c[number]:
        return None
    return np.frombuffer(pcm, "<i2").reshape(-1, channels)


class LocalShard:
    """An open shard on a local disk; one that is missing, or not as long as it should be, has no record."""

    def __init__(self, path: Path, shard: ShardEntry, channels: int) -> None:
        self._shard = shard
        self._channels = channels
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError:
            self._file = -1
            return
        if os.fstat(self._file).st_size != shard.bytes:
            self.close()

    def __enter__(self) -> LocalShard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; there are no records after that."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def record(self, number: int) -> NDArray[np.int16] | None:
        """Return a record, or None if it can't be read or is not what the index lists."""
        if self._file < 0:
            return None
        try:
            pcm = os.pread(self._file, _size(self._shard, number, self._channels), self._shard.offsets[number])
        except OSError:
            return None
        return check_record(pcm, self._shard, number, self._channels)


def _size(shard: ShardEntry, number: int, channels: int) -> int:
    return 2 * shard.records[number] * channels
