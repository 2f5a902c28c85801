"""The reader of shards: whole shards, checked against the index before a single record is used.

WebDataset, reading a stream, silently loses what follows damaged bytes. A shard is small (BuildConfig.shard_bytes), so
it is read at once, its size and sha256 are compared with the index, and WebDataset parses the checked bytes.

Axes: PCM int16 [T, C].
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import webdataset
from numpy.typing import NDArray

from codec.errors import DataError
from data_pipelines.folder import DataFolder
from data_pipelines.index import ShardEntry, check_shard


@dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """One record of a shard; `samples` is int16 [T, C]."""

    key: str
    samples: NDArray[np.int16]


def read_shard(folder: DataFolder, shard: ShardEntry, channels: int) -> Iterator[ShardRecord]:
    """Yield a shard's records in their order.

    Raises:
        DataError: The shard is missing, truncated, damaged, or not what the index describes.
    """
    data = folder.read(shard.name)
    check_shard(data, shard, folder.url)
    files = webdataset.tariterators.tar_file_expander([{"url": shard.name, "stream": io.BytesIO(data)}])
    lengths = []
    for entry in webdataset.tariterators.group_by_keys(files):
        samples = np.frombuffer(entry["pcm"], "<i2").reshape(-1, channels)
        lengths.append(len(samples))
        yield ShardRecord(key=entry["__key__"], samples=samples)
    if tuple(lengths) != shard.records:
        raise DataError(f"shard {shard.name} in '{folder.url}' does not hold the records that the index lists")
