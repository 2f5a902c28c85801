"""What an export says of itself: `version.json`, beside the files of the package and the folders of its reports.

format          "nacre-version", format_version 1
name, version   what it was called where it was exported
note, created, created_by
content_hash    of the package
reports         one for each folder reports/1, reports/2, ...: note, attached, attached_by, hashes (SHA-256 by file)

It may come from anywhere: reading it checks its form, importing compares every file with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from codec.errors import RegistryError
from registry.card import MAX_FILES, is_file_name
from registry.storage.location import Location
from registry.version import ModelVersion, Report

NAME = "version.json"
FORMAT, FORMAT_VERSION = "nacre-version", 1
MAX_VERSION_FILE_BYTES = 1 << 20
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class ExportedReport:
    """A report of an exported version."""

    note: str
    attached: str
    attached_by: str
    hashes: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class VersionFile:
    """What is in a `version.json`."""

    name: str
    version: int
    note: str
    created: str
    created_by: str
    content_hash: str
    reports: tuple[ExportedReport, ...]

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        data = {"format": FORMAT, "format_version": FORMAT_VERSION} | asdict(self)
        return (json.dumps(data, indent=2, sort_keys=True) + "\n").encode()


def version_file(version: ModelVersion, reports: Sequence[Report]) -> VersionFile:
    """Return what to say of an exported version and its reports."""
    return VersionFile(
        name=version.name,
        version=version.version,
        note=version.note,
        created=version.created,
        created_by=version.created_by,
        content_hash=version.content_hash,
        reports=tuple(
            ExportedReport(note=one.note, attached=one.attached, attached_by=one.attached_by, hashes=one.hashes)
            for one in reports
        ),
    )


def read_version_file(location: Location) -> VersionFile | None:
    """Return what `version.json` at `location` says; None if there is none.

    Raises:
        RegistryError: It is damaged or of a newer Nacre, or can't be read.
        MissingToolError: The location needs a package that is not installed.
    """
    if NAME not in location.sizes():
        return None
    try:
        data = json.loads(location.read(NAME, MAX_VERSION_FILE_BYTES))
        if (data["format"], data["format_version"]) != (FORMAT, FORMAT_VERSION):
            raise ValueError("its format is another")
        return VersionFile(
            name=_line(data["name"]),
            version=int(data["version"]),
            note=_line(data["note"]),
            created=_line(data["created"]),
            created_by=_line(data["created_by"]),
            content_hash=_hash(data["content_hash"]),
            reports=tuple(_report(report) for report in data["reports"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RegistryError(f"'{location / NAME}' is not what 'nacre registry export' wrote: {error}") from None


def _report(data: dict[str, Any]) -> ExportedReport:
    hashes = data["hashes"]
    if not isinstance(hashes, dict) or len(hashes) > MAX_FILES or not all(map(is_file_name, hashes)):
        raise ValueError("a report's files are no names")
    return ExportedReport(
        note=_line(data["note"]),
        attached=_line(data["attached"]),
        attached_by=_line(data["attached_by"]),
        hashes={name: _hash(value) for name, value in hashes.items()},
    )


def _line(text: Any) -> str:
    """Return a text as one line.

    Raises:
        ValueError: It is no text, or has characters that a terminal obeys.
    """
    line = " ".join(text.split()) if isinstance(text, str) else None
    if line is None or not line.isprintable():
        raise ValueError("a line of text is needed")
    return line


def _hash(text: Any) -> str:
    if not isinstance(text, str) or not _HASH.fullmatch(text):
        raise ValueError("a SHA-256 is needed")
    return text
