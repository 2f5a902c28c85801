"""Shards: tars of so many records each, of containers or tokens, and tokens as Parquet beside them.

A worker stages a record as a piece of a tar (fragments.py), and when all of a shard's sources are settled, the shard is
its pieces in a row, sorted by source. Which source belongs in which shard is decided once, in the source's order; a
source that comes later gets a new shard, and one that changed stays where it was: its shard is packed anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from codec.errors import DataError, NacreError
from serving.transcode.fragments import END, read_fragment
from serving.transcode.manifest import Record
from serving.transcode.order import Order
from serving.transcode.place import Place, open_file
from serving.transcode.state import State

STAGING = ".nacre/staging"


class Shards:
    """The shards of `order`'s DST."""

    def __init__(self, order: Order, state: State, place: Place, scratch: Path) -> None:
        self._order = order
        self._state = state
        self._place = place
        self._scratch = scratch
        part = order.part
        self._prefix = "shard" if part is None else f"part{part.number}of{part.count}"
        self._open = ""
        self._room = 0
        self._sizes: dict[str, int] = {}

    def payload(self, source: str, output: str) -> str:
        """As `Sink.payload`."""
        digest = hashlib.sha256(source.encode()).hexdigest()
        return f"{STAGING}/{digest[:2]}/{digest[2:32]}"

    def assign(self, source: str) -> str:
        """As `Sink.assign`."""
        shard = self._state.shard_of(source)
        if shard is None:
            if not self._room:
                self._open, self._room = self._new_shard(), self._order.shard_records
            self._room -= 1
            shard = self._open
            self._state.assign(source, shard)
        return shard

    def holds(self, record: Record) -> bool:
        """As `Sink.holds`: the record is staged, or its shard has the size that it should."""
        if record.position is None:
            staged = self._state.present_size(self.payload(record.source, ""))
            return staged is not None and staged == record.output_bytes
        shard = record.shard
        if shard is None:
            return False
        if shard not in self._sizes:
            self._sizes[shard] = self._expected_size(shard)
        return self._state.present_size(shard) == self._sizes[shard]

    def is_taken(self, output: str) -> bool:
        """As `Sink.is_taken`; records have no names of their own in DST."""
        return False

    def settled(self, source: str) -> None:
        """As `Sink.settled`: pack a shard whose last source this was."""
        shard = self._state.shard_of(source)
        if shard is not None and self._state.is_shard_settled(shard):
            self._bring_up_to_date(shard)

    def finish(self) -> None:
        """As `Sink.finish`: pack what a run before left staged."""
        for shard in self._state.shards():
            self._bring_up_to_date(shard)

    def _new_shard(self) -> str:
        taken = {name for name in self._state.shards() if name.startswith(f"{self._prefix}-")}
        return f"{self._prefix}-{len(taken):06d}.tar"

    def _expected_size(self, shard: str) -> int:
        records = self._state.shard_records(shard)
        ends = (record.position + (record.output_bytes or 0) for record in records if record.position is not None)
        return max(ends, default=0) + len(END)

    def _bring_up_to_date(self, shard: str) -> None:
        records = [record for record in self._state.shard_records(shard) if record.status == "done"]
        if any(record.position is None for record in records):
            self._place.remove(_parquet(shard))
            self._pack(shard, records)
        if self._order.parquet and records and self._place.size(_parquet(shard)) is None:
            self._write_parquet(shard)

    def _pack(self, shard: str, records: list[Record]) -> None:
        position, packed = 0, []
        with ExitStack() as stack:
            path = stack.enter_context(self._writing(shard))
            old = None
            if any(record.position is not None for record in records):
                old = stack.enter_context(open_file(self._place.locate(shard)))
            with path.open("wb") as file:
                for record in records:
                    data = self._piece(shard, record, position, old)
                    file.write(data)
                    packed.append(replace(record, position=position))
                    position += len(data)
                file.write(END)
        with self._state.transaction():
            self._state.adopt(packed)
        for record in records:
            if record.position is None:
                self._place.remove(self.payload(record.source, ""))

    def _piece(self, shard: str, record: Record, position: int, old: BinaryIO | None) -> bytes:
        """Return a record's piece: staged, or from the shard as it was, or, after a kill, as it is to be."""
        if record.position is None:
            return self._place.read(self.payload(record.source, ""))
        assert old is not None
        for start in (record.position, position):
            old.seek(start)
            data = old.read(record.output_bytes or 0)
            if hashlib.sha256(data).hexdigest() == record.output_sha256:
                return data
        raise DataError(f"the shard '{shard}' is damaged: remove it, and what it held is made again")

    def _write_parquet(self, shard: str) -> None:
        from serving.transcode.tokens.parquet import write_parquet

        with open_file(self._place.locate(shard)) as file, self._writing(_parquet(shard)) as path:
            write_parquet(path, self._read_records(shard, file))

    def _read_records(self, shard: str, file: BinaryIO) -> Iterator[list[tuple[str, bytes]]]:
        for record in self._state.shard_records(shard):
            if record.position is not None:
                file.seek(record.position)
                yield list(read_fragment(file.read(record.output_bytes or 0)))

    @contextmanager
    def _writing(self, name: str) -> Iterator[Path]:
        try:
            with self._place.writing(name, self._scratch) as path:
                yield path
        except OSError as error:
            raise NacreError(f"can't write '{name}': {error.strerror or error}; run again to go on") from None


def _parquet(shard: str) -> str:
    return shard.removesuffix(".tar") + ".parquet"
