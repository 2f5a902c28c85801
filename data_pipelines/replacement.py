"""Replacement: whole lists of records, other records standing where some can't be read.

What stands in is a pure function of a key, the shard, the record and what of the data set can be read, so a resumed
run gets the same, and each batch keeps its size:

- a bad record is replaced by a good one of its own shard;
- where a shard can't be read, or holds no good record, each of its records is replaced by one of the same other shard:
  one shard more is read, not one for each record.

What can't be reached, rather than being damaged, is an error: a network that fails must not change what is trained on.

Axes: PCM int16 [T, C].
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec.errors import DamageError, DataError
from data_pipelines.damage import Damage, DamageReport
from data_pipelines.dataset import DataSet
from data_pipelines.index import ShardEntry


@dataclass(frozen=True, kw_only=True)
class WholeShard:
    """As many records as the index lists; those at `replaced` are others."""

    records: list[NDArray[np.int16]]
    replaced: frozenset[int]


class OpenShard:
    """A shard of which single records are read, until one is bad: then the whole of it is, once.

    A record is bad by itself, so it doesn't matter which of them are asked for, or in what order.
    """

    def __init__(self, record: Callable[[int], NDArray[np.int16] | None], read: Callable[[], WholeShard]) -> None:
        self._record = record
        self._read = read
        self._whole: WholeShard | None = None

    def record(self, number: int) -> tuple[NDArray[np.int16], bool]:
        """Return what stands at a place, and whether it is another record.

        Raises:
            DataError: As `ReplacingReader.open`.
        """
        if self._whole is None:
            samples = self._record(number)
            if samples is not None:
                return samples, False
            self._whole = self._read()
        return self._whole.records[number], number in self._whole.replaced


class ReplacingReader:
    """Reads shards of one data set; `take_report` tells what it had to replace."""

    def __init__(self, data: DataSet) -> None:
        self._data = data
        self._set_records = data.index.num_records("train")
        self._report = DamageReport()

    def read(self, shards: Sequence[ShardEntry], number: int, key: str) -> WholeShard:
        """Return shard `number` of `shards`, whole; `key` decides what stands in for what is bad.

        Raises:
            DataError: None of the shards can be read, or one can't be reached.
        """
        shard = shards[number]
        rng = random.Random(f"{key}-{shard.name}-replacement")  # noqa: S311  # reproducible on purpose
        found = self._try(shard)
        replaced = frozenset(place for place, record in enumerate(found) if record is None)
        if len(replaced) < len(found):
            good = [record for record in found if record is not None]
        else:
            others = [other for other in range(len(shards)) if other != number]
            rng.shuffle(others)
            good = self._first_good([shards[other] for other in others])
        chosen = {place: rng.choice(good) for place in sorted(replaced)}
        records = [chosen[place] if record is None else record for place, record in enumerate(found)]
        return WholeShard(records=records, replaced=replaced)

    @contextmanager
    def open(self, shards: Sequence[ShardEntry], number: int, key: str) -> Iterator[OpenShard]:
        """Open shard `number` of `shards` to read single records of, with what `read` would put in place of bad ones.

        Raises:
            DataError: None of the shards can be read, or one can't be reached.
        """

        def read() -> WholeShard:
            return self.read(shards, number, key)

        local = self._data.open(shards[number])
        if local is None:
            yield OpenShard(lambda place: None, read)
            return
        with local:
            yield OpenShard(local.record, read)

    def count_replaced(self, records: int) -> None:
        """Count records that were used in place of others."""
        self._report.replaced_records += records

    def take_report(self) -> DamageReport:
        """Return what was found since the last time."""
        report, self._report = self._report, DamageReport()
        return report

    def _first_good(self, shards: Sequence[ShardEntry]) -> list[NDArray[np.int16]]:
        for shard in shards:
            if good := [record for record in self._try(shard) if record is not None]:
                return good
        reason = f" (the first: {self._report.damages[0].reason})" if self._report.damages else ""
        raise DataError(f"no shard of split train in '{self._data.folder.url}' can be read{reason}")

    def _try(self, shard: ShardEntry) -> list[NDArray[np.int16] | None]:
        """Return a shard's records, None for bad ones, and report these."""
        try:
            records = self._data.read(shard)
            reason = f"records of shard {shard.name} in '{self._data.folder.url}' are not as the index lists them"
        except DamageError as error:
            records, reason = [None] * len(shard.records), str(error)
        if bad := sum(record is None for record in records):
            url = self._data.folder.url
            damage = Damage(
                directory=url, shard=shard.name, reason=reason, bad_records=bad, set_records=self._set_records
            )
            self._report.damages.append(damage)
        return records
