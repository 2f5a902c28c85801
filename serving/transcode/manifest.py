"""The manifest of a transcoded archive: DST/manifest.jsonl, one JSON object a line and a source, sorted by source.

It says nothing of when or how a run went, so that the same work gives the same bytes however often it was interrupted.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Literal

from codec.errors import DataError

MANIFEST = "manifest.jsonl"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What became of one source; names are relative, with `/`.

    `settings` and `fingerprint` say how and by which model. `output` is a file under DST, or a record of the `shard`
    there; it is None when a source had no right to its name. `seconds`, `output_bytes` and `output_sha256` are there
    when it is done (of a record, those of what the shard holds for it from `position` on), `reason` when it failed;
    `quarantined` if it is left alone from now on, until it changes. `repaired` are the settings by which verification
    made the output again, better than was asked.
    """

    source: str
    output: str | None
    status: Literal["done", "failed"]
    settings: str
    fingerprint: str
    source_bytes: int
    source_stamp: str
    source_sha256: str | None = None
    seconds: float | None = None
    output_bytes: int | None = None
    output_sha256: str | None = None
    shard: str | None = None
    position: int | None = None
    reason: str | None = None
    quarantined: bool = False
    repaired: str | None = None

    def to_line(self) -> str:
        """Return the record as a line of JSON, without what it doesn't have."""
        given = dataclasses.asdict(self).items()
        return json.dumps({name: value for name, value in given if value is not None and value is not False}) + "\n"


def read_manifest(lines: Iterable[bytes], where: str) -> Iterator[Record]:
    """Yield the records of a manifest called `where` in messages.

    Raises:
        DataError: A line is no record.
    """
    for number, line in enumerate(lines, start=1):
        try:
            given = json.loads(line)
            if "source_mtime_ns" in given:  # as before there was more than folders
                given["source_stamp"] = str(given.pop("source_mtime_ns"))
            yield Record(**{"output": None} | given)
        except (ValueError, TypeError):
            raise DataError(f"line {number} of '{where}' is no record: restore the file or remove it") from None


def write_manifest(file: IO[bytes], records: Iterable[Record]) -> None:
    """Write records, which come sorted by source."""
    for record in records:
        file.write(record.to_line().encode())
