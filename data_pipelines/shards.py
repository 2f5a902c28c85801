"""Shards: tar files that WebDataset reads, the same bytes for the same records on every machine.

A record is two entries, `<key>.json` and `<key>.pcm`, with key = `<sha256 of the file, 16 digits>-<part, 5 digits>`.
pcm is int16, little-endian, channels interleaved, at the index's sample rate; json says where it comes from. A file
longer than 10 s is cut into equal parts of at most 10 s, so that no part is a useless stub. Records are ordered by
their file's sha256. Tar headers carry no time, user or group. The standard library writes them: WebDataset's own
writer would load torch into every worker for the same bytes.

Axes: PCM int16 [T, C].
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import google_crc32c

from codec.errors import AudioError, DataError
from codec.files import write_bytes
from data_pipelines.index import ShardEntry
from data_pipelines.screening import file_sha256, read_pcm
from data_pipelines.settings import MAX_RECORD_SECONDS, BuildConfig
from data_pipelines.sources import SourceFile
from data_pipelines.splits import Split


@dataclass(frozen=True, kw_only=True)
class AcceptedFile:
    """A file that goes into the shards; `num_samples` at the data set's rate."""

    source: SourceFile
    sha256: str
    num_samples: int


@dataclass(frozen=True, kw_only=True)
class Record:
    """One record to be written: a span of a file."""

    file: AcceptedFile
    part: int
    offset_samples: int
    num_samples: int

    @property
    def key(self) -> str:
        """The record's name in the tar."""
        return f"{self.file.sha256[:16]}-{self.part:05d}"

    @property
    def description(self) -> dict[str, str | int]:
        """The content of the record's json."""
        return {
            "path": self.file.source.name,
            "sha256": self.file.sha256,
            "offset_samples": self.offset_samples,
            "num_samples": self.num_samples,
        }


@dataclass(frozen=True, kw_only=True)
class ShardPlan:
    """One shard to be written."""

    name: str
    records: tuple[Record, ...]

    @property
    def digest(self) -> str:
        """A hash of what decides the shard's bytes, under given build settings."""
        content = json.dumps([self.name, [[record.part, record.description] for record in self.records]])
        return hashlib.sha256(content.encode()).hexdigest()


def plan_shards(files: Iterable[AcceptedFile], split: Split, config: BuildConfig) -> list[ShardPlan]:
    """Cut files into records and records into shards."""
    shards: list[list[Record]] = []
    size = config.shard_bytes
    for file in sorted(files, key=lambda file: file.sha256):
        for record in _cut(file, MAX_RECORD_SECONDS * config.sample_rate):
            if size >= config.shard_bytes:
                shards.append([])
                size = 0
            shards[-1].append(record)
            size += record.num_samples * config.channels * 2
    return [
        ShardPlan(name=f"{split}-{number:06d}.tar", records=tuple(records)) for number, records in enumerate(shards)
    ]


def write_shard(plan: ShardPlan, path: Path, *, sample_rate: int, channels: int) -> ShardEntry:
    """Decode what the plan asks for and write the shard atomically.

    Raises:
        DataError: A source file changed since it was screened.
    """
    buffer = io.BytesIO()
    offsets, checksums = [], []
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for record, pcm in _decode(plan.records, sample_rate, channels):
            _add(tar, f"{record.key}.json", json.dumps(record.description).encode())
            offsets.append(tar.offset + tarfile.BLOCKSIZE)
            checksums.append(google_crc32c.value(pcm))
            _add(tar, f"{record.key}.pcm", pcm)
    data = buffer.getvalue()
    write_bytes(path, data)
    return ShardEntry(
        name=plan.name,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        records=tuple(record.num_samples for record in plan.records),
        parts=tuple(record.part for record in plan.records),
        offsets=tuple(offsets),
        crc32c=tuple(checksums),
    )


def _cut(file: AcceptedFile, most: int) -> Iterator[Record]:
    parts = -(-file.num_samples // most)
    bounds = [part * file.num_samples // parts for part in range(parts + 1)]
    for part in range(parts):
        start, stop = bounds[part], bounds[part + 1]
        yield Record(file=file, part=part, offset_samples=start, num_samples=stop - start)


def _decode(records: Iterable[Record], sample_rate: int, channels: int) -> Iterator[tuple[Record, bytes]]:
    for file, group in groupby(records, key=lambda record: record.file):
        path = file.source.path
        try:
            unchanged = file_sha256(path) == file.sha256
            pcm = read_pcm(path, sample_rate=sample_rate, channels=channels)
        except (OSError, AudioError):
            unchanged = False
        if not unchanged or len(pcm) != file.num_samples:
            raise DataError(f"'{path}' changed while the data was built: run the same command again")
        for record in group:
            yield record, pcm[record.offset_samples : record.offset_samples + record.num_samples].tobytes()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
