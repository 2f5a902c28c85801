"""The index of a data set, `index.json`: what each shard holds, so that streams can plan without opening shards.

    {"version": 2, "sample_rate": 16000, "channels": 1, "build": {...the BuildConfig...},
     "splits": {"train": [{"name": "train-000000.tar", "sha256": "...", "bytes": 10240,
                           "records": [160000, 93000], "parts": [0, 1], "offsets": [1536, 323584],
                           "crc32c": [3735928559, 3405691582]}], "val": [...], "test": [...]}}

`records` are the samples of each record in the shard's order; `parts` say which part of its file each record is: a new
file begins at every 0. `offsets` are the bytes at which each record's PCM begins in the shard, `crc32c` its checksums:
a single record can be read and checked without the rest. The sha256 of the index's bytes stands for the whole data set,
since it covers every shard's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from codec.errors import DamageError, DataError
from data_pipelines.folder import DataFolder
from data_pipelines.splits import SPLITS, Split

INDEX_NAME = "index.json"
PER_RECORD = ("records", "parts", "offsets", "crc32c")
VERSION = 2


@dataclass(frozen=True, kw_only=True)
class ShardEntry:
    """One shard."""

    name: str
    sha256: str
    bytes: int
    records: tuple[int, ...]
    parts: tuple[int, ...]
    offsets: tuple[int, ...]
    crc32c: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Index:
    """A whole data set; `build` holds the settings it was built with."""

    sample_rate: int
    channels: int
    build: Mapping[str, Any]
    splits: Mapping[Split, tuple[ShardEntry, ...]]

    def num_files(self, split: Split) -> int:
        """Count the source files in a split."""
        return sum(shard.parts.count(0) for shard in self.splits[split])

    def num_records(self, split: Split) -> int:
        """Count the records in a split."""
        return sum(len(shard.records) for shard in self.splits[split])

    def seconds(self, split: Split) -> float:
        """Add up a split's audio."""
        return sum(sum(shard.records) for shard in self.splits[split]) / self.sample_rate


def index_bytes(index: Index) -> bytes:
    """Return the bytes of `index.json`."""
    return (json.dumps({"version": VERSION} | asdict(index)) + "\n").encode()


def index_sha256(data: bytes) -> str:
    """Return the hash that stands for the data set."""
    return hashlib.sha256(data).hexdigest()


def parse_index(data: bytes, where: str) -> Index:
    """Read `index.json`.

    Raises:
        DataError: It is damaged, incomplete, or of a version that this release doesn't know.
    """
    try:
        fields = json.loads(data)
        version = fields.pop("version")
        if version == VERSION:
            splits = {split: tuple(shard_entry(entry) for entry in fields["splits"][split]) for split in SPLITS}
            return Index(**(fields | {"splits": splits}))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise DataError(f"{INDEX_NAME} in '{where}' is damaged: build the data again with 'nacre data build'") from None
    rule = f"{INDEX_NAME} in '{where}' has version {version}; this release reads version {VERSION}"
    raise DataError(f"{rule}: build the data again with 'nacre data build'")


def read_index(folder: DataFolder) -> tuple[Index, str]:
    """Read a folder's index, and its sha256.

    Raises:
        DataError: There is none, or it is damaged.
    """
    data = folder.read(INDEX_NAME)
    return parse_index(data, folder.url), index_sha256(data)


def check_shard(data: bytes, shard: ShardEntry, where: str) -> None:
    """Compare a shard's bytes with the index.

    Raises:
        DamageError: They differ.
    """
    _check_size(len(data), shard, where)
    if hashlib.sha256(data).hexdigest() != shard.sha256:
        raise DamageError(f"shard {shard.name} in '{where}' is damaged (its sha256 is not the index's): {_REMEDY}")


def check_length(data: bytes, shard: ShardEntry, where: str) -> None:
    """Compare the number of a shard's bytes with the index.

    Raises:
        DamageError: They differ.
    """
    _check_size(len(data), shard, where)


def check_sizes(folder: DataFolder, index: Index) -> None:
    """Check that every shard is there and as long as the index says, without reading any.

    Raises:
        DamageError: One is missing, cut or grown.
    """
    for shards in index.splits.values():
        for shard in shards:
            _check_size(folder.size(shard.name), shard, folder.url)


def verify_shards(folder: DataFolder, index: Index, done: Callable[[], None]) -> None:
    """Read every shard and compare it with the index, calling `done` after each.

    Raises:
        DamageError: One is missing or damaged.
    """
    for shards in index.splits.values():
        for shard in shards:
            check_shard(folder.read(shard.name), shard, folder.url)
            done()


_REMEDY = "copy it again from where it was built, or run 'nacre data build' again"


def _check_size(size: int | None, shard: ShardEntry, where: str) -> None:
    if size is None:
        raise DamageError(f"shard {shard.name} is missing in '{where}': {_REMEDY}")
    if size != shard.bytes:
        state = "truncated" if size < shard.bytes else "too long"
        raise DamageError(
            f"shard {shard.name} in '{where}' is {state} ({size} bytes, the index says {shard.bytes}): {_REMEDY}"
        )


def shard_entry(fields: dict[str, Any]) -> ShardEntry:
    """Make an entry of its JSON.

    Raises:
        ValueError, TypeError, KeyError: It is not one.
    """
    shard = ShardEntry(**(fields | {name: tuple(fields[name]) for name in PER_RECORD}))
    if len({len(getattr(shard, name)) for name in PER_RECORD}) > 1:
        raise ValueError(f"{', '.join(PER_RECORD)} differ in length")
    return shard
