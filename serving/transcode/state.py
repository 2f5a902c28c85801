"""What was done and what is to do, while a run works: an SQLite database, which a kill at any moment leaves whole.

It takes little memory, however many entries there are. `record` holds what became of every source, and at a clean end
is all that stays, as the manifest. `flight` holds what workers were given and have not finished, with what that cost
them before; `work` is this run's plan; `assigned` says in which shard a source belongs; `present` what DST holds.

What a worker is given is on disk before it begins, a power cut included; that something is done is safe from a kill at
once, and from a power cut soon.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from codec.errors import DataError, NacreError
from serving.transcode.entry import Entry
from serving.transcode.manifest import Record

VERSION = 1
STATE_FILES = ("state.sqlite", "state.sqlite-wal")
_FIELDS = tuple(field.name for field in dataclasses.fields(Record))
_SCHEMA = f"""
CREATE TABLE record ({", ".join(_FIELDS)}, PRIMARY KEY (source)) WITHOUT ROWID;
CREATE TABLE flight
  (source PRIMARY KEY, output, died INT, lost INT, lost_alone INT, flying INT, alone INT) WITHOUT ROWID;
CREATE TABLE assigned (source PRIMARY KEY, shard) WITHOUT ROWID;
CREATE INDEX assigned_shard ON assigned (shard, source);
CREATE TABLE present (name PRIMARY KEY, size INT) WITHOUT ROWID;
CREATE TABLE work (seq INTEGER PRIMARY KEY, source UNIQUE, output UNIQUE, entry, known, size INT, rank INT, state INT);
CREATE INDEX work_next ON work (state, rank, size DESC, seq);
PRAGMA user_version = {VERSION};
"""
# A source's state in `work`.
_SETTLED, _TODO, _ALONE, _FLYING = range(4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """What is to do for one entry; `known` is the content's SHA-256 that needs no work."""

    entry: Entry
    output: str
    known: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flight:
    """What befell a source in runs that were not finished.

    It died with its worker so many times, and was lost so often with a whole run, of which so often as the only one.
    """

    output: str
    died: int = 0
    lost: int = 0
    lost_alone: int = 0


class State:
    """The database in a folder of its own; only one process may have it open."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / STATE_FILES[0]
        folder.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(self._path, isolation_level=None)

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[State]:
        """Yield the state in `folder`, new if there is none.

        Raises:
            NacreError: There is no room for it, or it can't be read or written.
        """
        state: State | None = None
        try:
            state = cls(folder)
            state._prepare()
            yield state
        except sqlite3.Error as error:
            raise NacreError(f"can't keep '{folder / STATE_FILES[0]}': {error}; run again to go on") from None
        except OSError as error:
            if error.filename and Path(error.filename) == folder:
                raise NacreError(f"can't make '{folder}': {error.strerror}") from None
            raise
        finally:
            if state is not None:
                state._database.close()

    def _prepare(self) -> None:
        execute = self._database.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")  # so that the log works on network disks too
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")
        version = execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            with self.transaction(durable=True):
                for statement in _SCHEMA.split(";"):
                    execute(statement)
        elif version != VERSION:
            raise DataError(f"'{self._path}' is of another release: finish with that, or remove it")

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """Do all or nothing of what is within; on return it is safe from a kill, and if `durable` from a power cut."""
        if durable:
            self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("BEGIN")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")
        if durable:
            self._database.execute("PRAGMA synchronous = NORMAL")

    # Records

    def record(self, source: str) -> Record | None:
        """Return what became of a source."""
        row = self._database.execute("SELECT * FROM record WHERE source = ?", (source,)).fetchone()
        return None if row is None else _record(row)

    def records(self) -> Iterator[Record]:
        """Yield all records, sorted by source."""
        return map(_record, self._database.execute("SELECT * FROM record ORDER BY source"))

    def planned_records(self) -> Iterator[Record]:
        """Yield the records of the sources that this run saw, sorted by source."""
        columns = ", ".join(f"record.{name}" for name in _FIELDS)
        query = f"SELECT {columns} FROM record JOIN work USING (source) ORDER BY source"  # noqa: S608  # our own names
        return map(_record, self._database.execute(query))

    def is_empty(self) -> bool:
        """Tell whether there is no record."""
        return self._database.execute("SELECT 1 FROM record LIMIT 1").fetchone() is None

    def put(self, record: Record) -> None:
        """Write down what became of a source; it is no more in flight."""
        self._insert(record)
        self._database.execute("DELETE FROM flight WHERE source = ?", (record.source,))
        self._database.execute("UPDATE work SET state = ? WHERE source = ?", (_SETTLED, record.source))

    def adopt(self, records: Iterable[Record]) -> None:
        """Take records from elsewhere, in place of what is known of their sources."""
        for record in records:
            self._insert(record)
            if record.shard is not None:
                self.assign(record.source, record.shard)

    def _insert(self, record: Record) -> None:
        values = tuple(getattr(record, name) for name in _FIELDS)
        marks = ", ".join("?" * len(values))
        self._database.execute(f"REPLACE INTO record VALUES ({marks})", values)  # noqa: S608  # only question marks

    # What DST holds, and which shard a source belongs to

    def forget_present(self) -> None:
        """Forget what DST held before."""
        self._database.execute("DELETE FROM present")

    def note_present(self, sizes: Iterable[tuple[str, int]]) -> None:
        """Write down names and bytes of what DST holds."""
        self._database.executemany("REPLACE INTO present VALUES (?, ?)", sizes)

    def present_size(self, name: str) -> int | None:
        """Return the bytes of a file in DST; None if there was none when the run began."""
        row = self._database.execute("SELECT size FROM present WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def assign(self, source: str, shard: str) -> None:
        """Write down in which shard a source belongs."""
        self._database.execute("REPLACE INTO assigned VALUES (?, ?)", (source, shard))

    def shard_of(self, source: str) -> str | None:
        """Return the shard that a source belongs in."""
        row = self._database.execute("SELECT shard FROM assigned WHERE source = ?", (source,)).fetchone()
        return None if row is None else row[0]

    def shards(self) -> list[str]:
        """Return the names of all shards, sorted."""
        return [name for (name,) in self._database.execute("SELECT DISTINCT shard FROM assigned ORDER BY shard")]

    def shard_records(self, shard: str) -> Iterator[Record]:
        """Yield the records of a shard's sources, sorted by source."""
        columns = ", ".join(f"record.{name}" for name in _FIELDS)
        chosen = "record JOIN assigned USING (source) WHERE assigned.shard = ? ORDER BY source"
        query = f"SELECT {columns} FROM {chosen}"  # noqa: S608  # our own names
        return map(_record, self._database.execute(query, (shard,)))

    def is_shard_settled(self, shard: str) -> bool:
        """Tell whether nothing is left to do for a shard's sources."""
        query = "SELECT 1 FROM assigned JOIN work USING (source) WHERE shard = ? AND state != ? LIMIT 1"
        return self._database.execute(query, (shard, _SETTLED)).fetchone() is None

    # This run's plan

    def in_flight(self) -> list[tuple[str, str]]:
        """Return the sources, with their outputs, that a run before was at when it was lost."""
        return self._database.execute("SELECT source, output FROM flight WHERE flying = 1").fetchall()

    def begin_plan(self) -> None:
        """Forget the plan of a run before; whatever was in flight then was lost with it."""
        self._database.execute("DELETE FROM work")
        query = "UPDATE flight SET lost = lost + 1, lost_alone = lost_alone + alone, flying = 0 WHERE flying = 1"
        self._database.execute(query)

    def flight(self, source: str) -> Flight | None:
        """Return what befell a source in runs that were not finished."""
        query = "SELECT output, died, lost, lost_alone FROM flight WHERE source = ?"
        row = self._database.execute(query, (source,)).fetchone()
        return None if row is None else Flight(output=row[0], died=row[1], lost=row[2], lost_alone=row[3])

    def is_planned(self, source: str) -> bool:
        """Tell whether this run has seen a source of that name."""
        return self._database.execute("SELECT 1 FROM work WHERE source = ?", (source,)).fetchone() is not None

    def owner(self, output: str) -> str | None:
        """Return the source that this run gave an output's name to."""
        row = self._database.execute("SELECT source FROM work WHERE output = ?", (output,)).fetchone()
        return None if row is None else row[0]

    def plan_settled(self, source: str, output: str | None) -> None:
        """Write down a source that needs no work, or can't have any; with an `output`, that name is its own."""
        self._plan(source, output, None, None, 0, 0, _SETTLED)

    def plan_work(self, work: Work, *, rank: int, size: int, alone: bool) -> None:
        """Write down work; that of low rank comes first, and of equal rank the largest. `alone` is for the end."""
        state = _ALONE if alone else _TODO
        self._plan(work.entry.name, work.output, work.entry.to_json(), work.known, size, rank, state)

    def _plan(
        self,
        source: str,
        output: str | None,
        entry: str | None,
        known: str | None,
        size: int,
        rank: int,
        state: int,
    ) -> None:
        values = (source, output, entry, known, size, rank, state)
        self._database.execute(
            "INSERT INTO work (source, output, entry, known, size, rank, state) VALUES (?, ?, ?, ?, ?, ?, ?)", values
        )

    def planned_work(self) -> Iterator[Work]:
        """Yield all work in the source's order; nothing may be written meanwhile."""
        query = "SELECT entry, output, known FROM work WHERE state != ? ORDER BY seq"
        return map(_work, self._database.execute(query, (_SETTLED,)))

    # Work in flight

    def next_work(self, *, alone: bool, most: int) -> list[Work]:
        """Return what is to be done next, at most so many."""
        query = "SELECT entry, output, known FROM work WHERE state = ? ORDER BY rank, size DESC, seq LIMIT ?"
        rows = self._database.execute(query, (_ALONE if alone else _TODO, most))
        return [_work(row) for row in rows]

    def start(self, works: Iterable[Work], *, alone: bool) -> None:
        """Write down that workers are given this."""
        query = (
            "INSERT INTO flight VALUES (?, ?, 0, 0, 0, 1, ?) ON CONFLICT (source) DO UPDATE SET "
            "output = excluded.output, flying = 1, alone = excluded.alone"
        )
        for work in works:
            self._database.execute(query, (work.entry.name, work.output, int(alone)))
            self._database.execute("UPDATE work SET state = ? WHERE source = ?", (_FLYING, work.entry.name))

    def bury(self, source: str) -> int:
        """Write down that a source's worker died; return how often one did. It is to be done again, alone."""
        self._database.execute("UPDATE flight SET died = died + 1, flying = 0 WHERE source = ?", (source,))
        self._database.execute("UPDATE work SET state = ? WHERE source = ?", (_ALONE, source))
        row = self._database.execute("SELECT died FROM flight WHERE source = ?", (source,)).fetchone()
        return 0 if row is None else row[0]

    def abandon(self) -> None:
        """Take back what is in flight, without suspicion."""
        self._database.execute("UPDATE flight SET flying = 0 WHERE flying = 1")

    def absorb(self, other: State) -> None:
        """Take what another state knows: a part's, whose run did not come to its end."""
        self.adopt(other.records())
        self._database.executemany(
            "REPLACE INTO flight VALUES (?, ?, ?, ?, ?, ?, ?)", other._database.execute("SELECT * FROM flight")
        )
        self._database.executemany(
            "REPLACE INTO assigned VALUES (?, ?)", other._database.execute("SELECT * FROM assigned")
        )


def _work(row: tuple[str, str, str | None]) -> Work:
    entry, output, known = row
    return Work(entry=Entry.from_json(entry), output=output, known=known)


def _record(row: tuple[object, ...]) -> Record:
    given = dict(zip(_FIELDS, row, strict=True))
    return Record(**given | {"quarantined": bool(given["quarantined"])})  # type: ignore[arg-type]  # as they were
