"""Validation clips: fixed audio that every validation scores, and the noise it is denoised from.

They are the first records of the first files (in the order of their hashes; second records and so on follow if there
are fewer files); data sets of a mixture give them in turn, whatever their weights. Nothing replaces a clip that can't
be read: scores would no longer compare.

Axes: audio, noise [1, C, T].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

import torch

from codec.errors import DamageError
from data_pipelines.dataset import DataSet
from data_pipelines.reader import ShardRecord


class ValidationClip(NamedTuple):
    """One validation batch: the record's key, its audio, and as much noise if there is a data set of noise."""

    key: str
    audio: torch.Tensor
    noise: torch.Tensor | None


class ValidationClips:
    """The validation clips of one rank, as a loader: Lightning takes a list for several loaders."""

    def __init__(self, clips: Sequence[ValidationClip]) -> None:
        self._clips = tuple(clips)

    def __len__(self) -> int:
        return len(self._clips)

    def __iter__(self) -> Iterator[ValidationClip]:
        return iter(self._clips)


def read_validation(sets: Sequence[DataSet], most: int, *, rank: int, world_size: int) -> list[ShardRecord]:
    """Return this rank's share of at most `most` records of the sets' splits val.

    Together the ranks have each once; a rank that would have none gets one that another has too, because a rank
    without batches would leave the others waiting.

    Raises:
        DamageError: A shard is missing or damaged.
    """
    in_turn = zip_longest(*([(data, *place) for place in _places(data)] for data in sets))
    places = [place for turn in in_turn for place in turn if place is not None][:most]
    mine = places[rank::world_size] or [places[rank % len(places)]]
    return [record for data in sets for record in _read(data, [place[1:] for place in mine if place[0] is data])]


def _places(data: DataSet) -> list[tuple[int, int]]:
    """Return (shard, record) of all of split val: every file's part 0 comes before any file's part 1."""
    shards = enumerate(data.index.splits["val"])
    by_part = [(part, shard, i) for shard, entry in shards for i, part in enumerate(entry.parts)]
    return [(shard, i) for _, shard, i in sorted(by_part)]


def _read(data: DataSet, places: Sequence[tuple[int, int]]) -> list[ShardRecord]:
    """Return the records at places of split val, each shard read once."""
    shards = data.index.splits["val"]
    records: dict[tuple[int, int], ShardRecord] = {}
    for shard in sorted({shard for shard, _ in places}):
        found = data.read_named(shards[shard])
        for number in (i for at, i in places if at == shard):
            record = found[number]
            if record is None:
                where = f"shard {shards[shard].name} in '{data.folder.url}'"
                raise DamageError(f"record {number} of {where} is not what the index lists: build the data again")
            records[shard, number] = ShardRecord(key=record.key, samples=record.samples.copy())
    return [records[place] for place in places]
