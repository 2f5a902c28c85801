"""Tar archives, plain or gzipped: what their headers list, and the content of regular files.

`tarfile` trusts headers more than we do: it allocates what an extended header claims, follows sizes backwards, and
takes a damaged header for the end. So it reads through a file that bounds single reads and all of them, entries have to
come in order, and the archive has to end as one does. Content is read without it, at the positions listed.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from codec.errors import LimitError
from serving.jobs.archive import CHUNK_BYTES, Check, Entry, Kind, check_unpacked, short
from serving.jobs.errors import ArchiveError
from serving.jobs.limits import JobLimits

# An extended header, and all headers for each entry that is allowed.
_HEADER_BYTES = 1 << 16
_ENTRY_BYTES = 1 << 12
_SEEK_BYTES = 1 << 24
# Over which tarfile's pattern for a header's charset would take the square of its length.
_DIGITS = re.compile(rb"[0-9]{64}")
_FAULTS = (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, OverflowError, RecursionError)


class TarMembers:
    """The content of a tar's entries; a position is where it begins."""

    def __init__(self, file: BinaryIO, check: Check) -> None:
        self._file = file
        self._check = check

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path, kind: Kind, check: Check) -> Iterator[TarMembers]:
        """Yield the members of the archive at `path`."""
        with _open(path, kind) as file:
            yield cls(file, check)

    def read(self, position: int, size: int) -> Iterator[bytes]:
        """Yield an entry's `size` bytes in chunks.

        Raises:
            ArchiveError: The entry is damaged or cut short.
        """
        try:
            _seek(self._file, position, self._check)
            while size and (chunk := self._file.read(min(size, CHUNK_BYTES))):
                size -= len(chunk)
                yield chunk
        except _FAULTS as error:
            raise short(position) from error
        if size:
            raise short(position)


def list_tar(path: Path, kind: Kind, limits: JobLimits, check: Check) -> Iterator[Entry]:
    """Yield a tar's entries but for folders.

    Raises:
        ArchiveError: It is damaged.
        LimitError: Its headers, or the bytes they skip, are more than `limits` allow.
    """
    with _open(path, kind) as file:
        headers = _Headers(file, path.stat().st_size, limits, check)
        try:
            with tarfile.open(fileobj=cast(BinaryIO, headers), mode="r:") as tar:
                for member in _in_order(tar):
                    if not member.isdir():
                        size = member.size if member.isreg() else 0
                        yield Entry(name=member.name, position=member.offset_data, size=size, refusal=_refusal(member))
                headers.check_end(tar.offset)
        except (LimitError, ArchiveError):
            raise
        except _FAULTS as error:
            raise ArchiveError("the tar is damaged or cut short") from error


def _in_order(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield members, whose headers must follow each other."""
    last = -1
    while (member := tar.next()) is not None:
        if member.offset <= last or member.size < 0 or tar.offset <= member.offset:
            raise ArchiveError("the tar's headers contradict each other: whoever packed it has a fault")
        last = member.offset
        yield member


def _refusal(member: tarfile.TarInfo) -> str | None:
    if member.isreg() and not member.issparse():
        return None
    return "it is a link, a device or a sparse file: pack the files themselves, whole"


@contextlib.contextmanager
def _open(path: Path, kind: Kind) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        if kind == "tar":
            yield file
        else:
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield cast(BinaryIO, unpacked)


def _seek(file: BinaryIO, position: int, check: Check) -> None:
    """Seek, which in a gzip means unpacking, in steps."""
    while position - file.tell() > _SEEK_BYTES:
        before = file.tell()
        file.seek(before + _SEEK_BYTES)
        check()
        if file.tell() == before:
            raise EOFError
    file.seek(position)


class _Headers:
    """The file that `tarfile` lists: it skips content, so what it reads is headers."""

    mode = "rb"

    def __init__(self, file: BinaryIO, archive_bytes: int, limits: JobLimits, check: Check) -> None:
        self._file = file
        self._archive_bytes = archive_bytes
        self._limits = limits
        self._check = check
        self._left = limits.max_job_files * _ENTRY_BYTES + _HEADER_BYTES

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, position: int) -> int:
        check_unpacked(position, self._archive_bytes, self._limits)
        _seek(self._file, position, self._check)
        return self._file.tell()

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _HEADER_BYTES:
            raise ArchiveError(f"a header of the tar claims {size} bytes; at most {_HEADER_BYTES} are read")
        self._left -= size
        if self._left < 0:
            raise LimitError("the tar's headers are larger than those of the entries allowed")
        self._check()
        data = self._file.read(size)
        if size > tarfile.BLOCKSIZE and _DIGITS.search(data):
            raise ArchiveError("a header of the tar holds a number that no header needs")
        return data

    def check_end(self, position: int) -> None:
        """Check that from `position` on, where the last entry ended, there are only zeros; and a gzip's checksum."""
        self.seek(position)
        while chunk := self._file.read(CHUNK_BYTES):
            if chunk.strip(b"\0"):
                raise ArchiveError("the tar is damaged after its last readable entry")
            check_unpacked(self._file.tell(), self._archive_bytes, self._limits)
            self._check()
