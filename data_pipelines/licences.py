"""What a fetched folder holds and under which licence: `package.json` in each package's folder, and the list of all.

DIR/NAME/package.json   package, version, kind, languages, licence, files, seconds, bytes; its presence marks the end
DIR/NAME/copyright      the package's own words on authors and licences, unchanged
DIR/licences.json       the records of all folders
DIR/LICENCES.md         the same as a table
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from codec.errors import DataError
from codec.files import write_text

RECORD = "package.json"
COPYRIGHT = "copyright"


@dataclass(frozen=True, kw_only=True)
class FetchedPackage:
    """One finished folder."""

    name: str
    version: str
    kind: str
    languages: tuple[str, ...]
    licence: str
    files: int
    seconds: float
    bytes: int


def write_record(folder: Path, fetched: FetchedPackage) -> None:
    """Write a folder's record."""
    write_text(folder / RECORD, _json(dataclasses.asdict(fetched)))


def read_records(directory: Path) -> tuple[FetchedPackage, ...]:
    """Return the records of all finished folders of `directory`, by name.

    Raises:
        DataError: A record is damaged.
    """
    return tuple(_read(path) for path in sorted(directory.glob(f"*/{RECORD}")))


def write_lists(directory: Path) -> None:
    """Write `licences.json` and `LICENCES.md` from the records."""
    records = read_records(directory)
    write_text(directory / "licences.json", _json([dataclasses.asdict(record) for record in records]))
    lines = [
        "# Licences of the audio in this folder",
        "",
        "From Debian packages, fetched by `nacre audio fetch`. The licence column is a summary of what was taken;",
        "`copyright` in each folder is the package's own and decides. Whoever passes on this audio, or a model trained",
        "on it, should name these sources and licences.",
        "",
        "| folder | version | kind | languages | files | minutes | licence | full text |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(record) for record in records]
    write_text(directory / "LICENCES.md", "\n".join(lines) + "\n")


def _row(record: FetchedPackage) -> str:
    cells = (
        record.name,
        record.version,
        record.kind,
        " ".join(record.languages),
        str(record.files),
        f"{record.seconds / 60:.1f}",
        record.licence,
        f"[{COPYRIGHT}]({record.name}/{COPYRIGHT})",
    )
    return f"| {' | '.join(cells)} |"


def _read(path: Path) -> FetchedPackage:
    try:
        values = json.loads(path.read_text())
        return FetchedPackage(**{**values, "languages": tuple(values["languages"])})
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"'{path}' is damaged ({error}): remove its folder and fetch it again") from None


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
