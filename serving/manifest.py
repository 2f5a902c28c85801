"""The manifest of a transcoded folder: DST/manifest.jsonl, one JSON object a line, the newest line of a source counts.

It is appended to while work goes on, each line flushed to disk before the next step, so that a killed run leaves at
most one line cut short; at the end of a run it is rewritten whole, one line a source, sorted.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from codec.errors import DataError
from codec.files import write_bytes

Status = Literal["started", "done", "failed"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What was done with one source; paths are relative to the folders, with `/`.

    `settings` and `fingerprint` say how and by which model. `output` is None when a source had no right to its name;
    `seconds`, `output_bytes` and `output_sha256` are there when it is done, `reason` when it failed.
    """

    source: str
    output: str | None
    status: Status
    settings: str
    fingerprint: str
    source_bytes: int
    source_mtime_ns: int
    source_sha256: str | None = None
    seconds: float | None = None
    output_bytes: int | None = None
    output_sha256: str | None = None
    reason: str | None = None

    def to_line(self) -> bytes:
        """Return the record as a line of JSON, without what it doesn't have."""
        given = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        return json.dumps(given).encode() + b"\n"


class Manifest:
    """The records of one folder, by source.

    Raises:
        DataError: A line other than a last one cut short is no record.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: dict[str, Record] = {}
        self._read()

    def get(self, source: str) -> Record | None:
        """Return a source's newest record."""
        return self._records.get(source)

    def append(self, record: Record) -> None:
        """Add a record; on return it is on disk."""
        with self._path.open("ab") as file:
            file.write(record.to_line())
            file.flush()
            os.fsync(file.fileno())
        self._records[record.source] = record

    def compact(self) -> None:
        """Rewrite the file with one line a source, sorted by source."""
        lines = (self._records[source].to_line() for source in sorted(self._records))
        write_bytes(self._path, b"".join(lines))

    def _read(self) -> None:
        if not self._path.exists():
            return
        lines = self._path.read_bytes().split(b"\n")
        if torn := lines.pop():
            os.truncate(self._path, self._path.stat().st_size - len(torn))
        for number, line in enumerate(lines, start=1):
            try:
                record = Record(**{"output": None, **json.loads(line)})
            except (ValueError, TypeError):
                raise DataError(
                    f"line {number} of '{self._path}' is no record: restore the file or remove it"
                ) from None
            self._records[record.source] = record
