"""One archive: zip, tar or gzipped tar, told by its content; here or at a URL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from codec.errors import DataError
from serving.transcode.entry import Entry, Kind
from serving.transcode.place import open_file
from serving.transcode.sources.notes import with_notes

_TAR_MAGIC_AT = 257
# What macOS packs beside the files.
_CLUTTER = "__MACOSX/"


@dataclass(frozen=True)
class Archive:
    """Its entries come in its own order; each name starts with `prefix`."""

    url: str
    kind: Kind
    prefix: str = ""

    def entries(self) -> Iterator[Entry]:
        """Yield every file in it, and why one can't be used.

        Raises:
            DataError: It is damaged.
        """
        from serving.transcode.sources.tars import list_tar
        from serving.transcode.sources.zips import list_zip

        found = list_zip(self.url) if self.kind == "zip" else list_tar(self.url, self.kind)
        for entry in with_notes(entry for entry in found if not entry.name.startswith(_CLUTTER)):
            yield replace(entry, name=self.prefix + entry.name)

    def group(self, entry: Entry) -> str:
        """Return the entry's name: parts are divided by it."""
        return entry.name


def open_archive(path: Path | str, prefix: str = "") -> Archive:
    """Return the archive at a path or URL.

    Raises:
        DataError: It is none, or can't be read.
    """
    url = str(path)
    with open_file(url) as file:
        kind = _detect(file.read(512))
    if kind is None:
        raise DataError(f"'{url}' is no folder, zip or tar; for a single file there is 'nacre encode'")
    return Archive(url, kind, prefix)


def _detect(head: bytes) -> Kind | None:
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    if head[:3] == b"\x1f\x8b\x08":
        return "tar.gz"
    return "tar" if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar" else None
