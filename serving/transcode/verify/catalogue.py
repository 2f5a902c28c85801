"""What there is to verify and what was found, in a database of its own: so a million files take little memory.

`record` has the manifest, `file` what DST holds, `finding` what the checks of each file found.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from codec.errors import NacreError
from serving.transcode.entry import Entry
from serving.transcode.manifest import Record
from serving.transcode.verify.finding import Finding

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE record (source PRIMARY KEY, file, line, seen INT DEFAULT 0) WITHOUT ROWID;
CREATE INDEX record_file ON record (file);
CREATE TABLE file (name PRIMARY KEY, size INT) WITHOUT ROWID;
CREATE TABLE finding (name, output, line, below INT, entry, PRIMARY KEY (name, output)) WITHOUT ROWID;
"""


class Catalogue:
    """The database; it goes with the run, so it needn't survive anything."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.executescript(_SCHEMA)

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[Catalogue]:
        """Yield a new one in `folder`.

        Raises:
            NacreError: There is no room for it.
        """
        try:
            with closing(sqlite3.connect(folder / "verify.sqlite", isolation_level=None)) as database:
                yield cls(database)
        except sqlite3.Error as error:
            raise NacreError(f"can't keep notes in '{folder}': {error}") from None

    # The manifest

    def add_records(self, records: Iterable[Record]) -> None:
        """Take records in, in place of those of the same sources."""
        rows = ((record.source, record.shard or record.output, record.to_line()) for record in records)
        query = (
            "INSERT INTO record (source, file, line) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET line = excluded.line"
        )
        with self._transaction():
            self._database.executemany(query, rows)

    def records(self) -> Iterator[Record]:
        """Yield all records, sorted by source."""
        for (line,) in self._database.execute("SELECT line FROM record ORDER BY source"):
            yield _record(line)

    def all_of(self, field: str) -> list[str]:
        """Return what the records have as `field`, each value once, sorted."""
        query = "SELECT DISTINCT json_extract(line, ?) AS value FROM record ORDER BY value"
        return [value for (value,) in self._database.execute(query, (f"$.{field}",))]

    def shard_ends(self) -> Iterator[tuple[str, int]]:
        """Yield each shard with the bytes that its records take, sorted."""
        end = "max(json_extract(line, '$.position') + json_extract(line, '$.output_bytes'))"
        where = "json_extract(line, '$.shard') IS NOT NULL AND json_extract(line, '$.status') = 'done'"
        yield from self._database.execute(f"SELECT file, {end} FROM record WHERE {where} GROUP BY file")  # noqa: S608

    def take(self, source: str) -> Record | None:
        """Return the record of a source, seen from now on; None if there is none that was not seen before."""
        query = "UPDATE record SET seen = 1 WHERE source = ? AND seen = 0 RETURNING line"
        row = self._database.execute(query, (source,)).fetchone()
        return None if row is None else _record(row[0])

    def is_known(self, source: str) -> bool:
        """Tell whether there is a record of a source."""
        return self._database.execute("SELECT 1 FROM record WHERE source = ?", (source,)).fetchone() is not None

    def unseen(self) -> Iterator[Record]:
        """Yield the records that were not taken, sorted by source."""
        for (line,) in self._database.execute("SELECT line FROM record WHERE seen = 0 ORDER BY source"):
            yield _record(line)

    # Outputs

    def add_files(self, files: Iterable[tuple[str, int]]) -> None:
        """Take in what files DST holds, by name, and their sizes."""
        with self._transaction():
            self._database.executemany("REPLACE INTO file VALUES (?, ?)", files)

    def size(self, name: str) -> int | None:
        """Return the bytes of a file in DST; None if there is none."""
        row = self._database.execute("SELECT size FROM file WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def strays(self) -> Iterator[str]:
        """Yield the files that no record names as output or shard, sorted."""
        query = "SELECT name FROM file WHERE NOT EXISTS (SELECT 1 FROM record WHERE file = name) ORDER BY name"
        for (name,) in self._database.execute(query):
            yield name

    # Findings

    def put(self, finding: Finding, source: Entry | None = None) -> None:
        """Write down what was found of a file, with its source if there is more to do."""
        entry = None if source is None else source.to_json()
        values = (finding.name, finding.output or "", finding.to_line(), bool(finding.below), entry)
        self._database.execute("REPLACE INTO finding VALUES (?, ?, ?, ?, ?)", values)

    def findings(self, *, below: bool = False) -> Iterator[Finding]:
        """Yield all findings, or those of outputs that miss a floor, sorted by name."""
        where = "WHERE below" if below else ""
        for (line,) in self._database.execute(f"SELECT line FROM finding {where} ORDER BY name, output"):  # noqa: S608
            yield Finding.from_line(line)

    def finding(self, name: str) -> Finding:
        """Return what was found of a file that was checked."""
        query = "SELECT line FROM finding WHERE name = ? AND entry IS NOT NULL"
        return Finding.from_line(self._database.execute(query, (name,)).fetchone()[0])

    def checked(self, finding: Finding) -> tuple[Record, Entry]:
        """Return the record and the source of a file that was checked."""
        query = (
            "SELECT record.line, entry FROM finding JOIN record ON source = name WHERE name = ? AND entry IS NOT NULL"
        )
        line, entry = self._database.execute(query, (finding.name,)).fetchone()
        return _record(line), Entry.from_json(entry)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write much at once, which is quicker."""
        self._database.execute("BEGIN")
        yield
        self._database.execute("COMMIT")


def _record(line: str) -> Record:
    return Record(**{"output": None} | json.loads(line))
