"""The reader of shards: whole shards, checked against the index before a single record is used.

WebDataset, reading a stream, silently loses what follows damaged bytes. A shard is small (BuildConfig.shard_bytes), so
it is read at once, its size and sha256 are compared with the index, and the checked bytes are parsed without copying
them; WebDataset groups the entries into records.

Axes: PCM int16 [T, C].
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import webdataset
from numpy.typing import NDArray

from codec.errors import DamageError
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
        DamageError: The shard is missing, truncated, damaged, or not what the index describes.
    """
    data = folder.read(shard.name, lambda data: check_shard(data, shard, folder.url))
    for record in parse_shard(data, shard, channels, folder.url):
        if record is None:
            raise _not_as_listed(shard, folder.url)
        yield record


def parse_shard(data: bytes, shard: ShardEntry, channels: int, where: str) -> list[ShardRecord | None]:
    """Return the records of a shard's bytes in their order; None for one that is not what the index lists.

    Raises:
        DamageError: It is no tar, or its records are not as many as the index lists.
    """
    try:
        entries = list(webdataset.tariterators.group_by_keys(_files(data, shard.name)))
    except (tarfile.TarError, ValueError):
        raise DamageError(f"shard {shard.name} in '{where}' is no tar of records") from None
    if len(entries) != len(shard.records):
        raise _not_as_listed(shard, where)
    return [_record(entry, length, channels) for entry, length in zip(entries, shard.records, strict=True)]


def _files(data: bytes, url: str) -> Iterator[dict[str, Any]]:
    """Yield a tar's files as views of its bytes, as WebDataset's own reader yields copies."""
    view = memoryview(data)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for member in tar:
            content = view[member.offset_data : member.offset_data + member.size]
            yield {"fname": member.name, "data": content, "__url__": url}


def _record(entry: dict[str, Any], num_samples: int, channels: int) -> ShardRecord | None:
    pcm = entry.get("pcm", b"")
    if len(pcm) != 2 * num_samples * channels:
        return None
    return ShardRecord(key=entry["__key__"], samples=np.frombuffer(pcm, "<i2").reshape(-1, channels))


def _not_as_listed(shard: ShardEntry, where: str) -> DamageError:
    return DamageError(f"shard {shard.name} in '{where}' does not hold the records that the index lists")
