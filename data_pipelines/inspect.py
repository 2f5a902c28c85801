"""Inspect a data set: hours, sample rates, rejects by reason, and a histogram of durations, from manifest and index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from data_pipelines.folder import DataFolder
from data_pipelines.index import check_sizes, read_index
from data_pipelines.manifest import MANIFEST_NAME, ManifestEntry, parse_manifest
from data_pipelines.splits import SPLITS

# Upper bounds of the histogram's bins, seconds.
BINS_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, kw_only=True)
class SplitSummary:
    """One split."""

    files: int
    hours: float
    shards: int
    records: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """A whole data set; counts of rates, channels and durations are of the accepted source files."""

    directory: str
    index_sha256: str
    sample_rate: int
    channels: int
    splits: Mapping[str, SplitSummary]
    source_sample_rates: Mapping[int, int]
    source_channels: Mapping[int, int]
    rejected: Mapping[str, int]
    durations: Mapping[str, int]


def inspect_dataset(folder: DataFolder) -> DatasetSummary:
    """Summarise a data set and check that its shards are there, each as long as the index says.

    Raises:
        DataError: It is no data set, or a shard is missing or cut.
    """
    index, sha256 = read_index(folder)
    check_sizes(folder, index)
    entries = parse_manifest(folder.read(MANIFEST_NAME).decode(errors="replace"))
    accepted = [entry for entry in entries if entry.reason is None]
    return DatasetSummary(
        directory=folder.url,
        index_sha256=sha256,
        sample_rate=index.sample_rate,
        channels=index.channels,
        splits={
            split: SplitSummary(
                files=index.num_files(split),
                hours=index.seconds(split) / 3600,
                shards=len(index.splits[split]),
                records=index.num_records(split),
                bytes=sum(shard.bytes for shard in index.splits[split]),
            )
            for split in SPLITS
        },
        source_sample_rates=_count([entry.sample_rate for entry in accepted]),
        source_channels=_count([entry.channels for entry in accepted]),
        rejected=dict(Counter(entry.reason for entry in entries if entry.reason is not None).most_common()),
        durations=histogram(accepted),
    )


def histogram(entries: Sequence[ManifestEntry]) -> dict[str, int]:
    """Count files by duration; every bin is there, its lower bound belongs to it."""
    bounds = (0.0, *BINS_S, float("inf"))
    seconds = [entry.seconds for entry in entries if entry.seconds is not None]
    return {_label(low, high): sum(low <= value < high for value in seconds) for low, high in pairwise(bounds)}


def _label(low: float, high: float) -> str:
    return f"{low:g} s or more" if high == float("inf") else f"{low:g} to {high:g} s"


def _count(values: Sequence[int | None]) -> dict[int, int]:
    return dict(sorted(Counter(value for value in values if value is not None).items()))
