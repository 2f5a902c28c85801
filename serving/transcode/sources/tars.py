"""What the headers of a tar list, plain or gzipped, in memory that doesn't grow with it.

As in serving/jobs/tars.py, `tarfile` reads through a file that bounds what it reads at once, and the archive has to end
as one does, since `tarfile` takes a damaged header for the end.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from codec.errors import DataError
from serving.jobs.names import safe_name
from serving.transcode.entry import Entry, Kind, Locator
from serving.transcode.place import open_file

# An extended header; tarfile would allocate what one claims.
MAX_HEADER_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 18
_FAULTS = (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError, RecursionError)


def list_tar(url: str, kind: Kind) -> Iterator[Entry]:
    """Yield a tar's entries but for folders.

    Raises:
        DataError: It is damaged or can't be read.
    """
    with open_file(url) as file:
        unpacked = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if kind == "tar.gz" else file
        try:
            yield from _list(unpacked, url, kind)
        except DataError:
            raise
        except _FAULTS as error:
            raise DataError(f"the tar '{url}' is damaged or cut short") from error


def _list(file: BinaryIO, url: str, kind: Kind) -> Iterator[Entry]:
    headers = _Headers(file, url)
    with tarfile.open(fileobj=cast(BinaryIO, headers), mode="r:") as tar:
        last = -1
        while (member := tar.next()) is not None:
            if member.offset <= last or member.size < 0 or tar.offset <= member.offset:
                raise DataError(f"the headers of the tar '{url}' contradict each other: whoever packed it has a fault")
            last = member.offset
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep a million
            if not member.isdir():
                yield _entry(member, url, kind)
        headers.check_end(tar.offset)


def _entry(member: tarfile.TarInfo, url: str, kind: Kind) -> Entry:
    name, refusal = checked_name(member.name)
    if refusal is None and (not member.isreg() or member.issparse()):
        refusal = "it is a link, a device or a sparse file: pack the files themselves, whole"
    return Entry(
        name=name,
        size=member.size if member.isreg() else 0,
        stamp=f"{member.mtime:g}@{member.offset_data}",
        locator=Locator(url=url, kind=kind, position=member.offset_data),
        mtime_ns=int(member.mtime * 10**9),
        refusal=refusal,
    )


def checked_name(name: str) -> tuple[str, str | None]:
    """Return an archived file's name, safe to repeat, or one that can be shown and why it can't be used."""
    from serving.jobs.errors import ArchiveError
    from serving.jobs.names import printable

    try:
        return safe_name(name), None
    except ArchiveError as error:
        return printable(name) or "?", str(error)


class _Headers:
    """The file that `tarfile` lists: it skips content, so what it reads is headers."""

    mode = "rb"

    def __init__(self, file: BinaryIO, url: str) -> None:
        self._file = file
        self._url = url

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, position: int) -> int:
        return self._file.seek(position)

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise DataError(f"a header of the tar '{self._url}' claims {size} bytes: whoever packed it has a fault")
        return self._file.read(size)

    def check_end(self, position: int) -> None:
        """Check that from `position` on, where the last entry ended, there are only zeros; and a gzip's checksum."""
        self._file.seek(position)
        while chunk := self._file.read(_CHUNK_BYTES):
            if chunk.strip(b"\0"):
                raise DataError(f"the tar '{self._url}' is damaged after its last readable entry")
