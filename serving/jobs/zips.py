"""Zip archives: what their directory lists, and the content of stored and deflated entries.

`zipfile` reads the directory in one piece, of a size that the archive claims, so the file it gets refuses large reads.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from codec.errors import LimitError
from serving.jobs.archive import CHUNK_BYTES, Entry, short
from serving.jobs.errors import ArchiveError
from serving.jobs.limits import JobLimits
from serving.zip_entries import ZIP_FAULTS, refusal_of

# Bytes of the directory for each entry that is allowed, and what `zipfile` reads at once besides.
_ENTRY_BYTES = 640
_READ_BYTES = 1 << 19


class ZipMembers:
    """The content of a zip's entries; a position is a number in its directory."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._infos = archive.infolist()

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path, limits: JobLimits) -> Iterator[ZipMembers]:
        """Yield the members of the archive at `path`."""
        with _open(path, limits) as archive:
            yield cls(archive)

    def read(self, position: int, size: int) -> Iterator[bytes]:
        """Yield an entry's `size` bytes in chunks.

        Raises:
            ArchiveError: The entry is damaged or cut short.
        """
        try:
            with self._archive.open(self._infos[position]) as file:
                while chunk := file.read(CHUNK_BYTES):
                    size -= len(chunk)
                    yield chunk
        except ZIP_FAULTS as error:
            raise short(position) from error
        if size:
            raise short(position)


def list_zip(path: Path, limits: JobLimits) -> Iterator[Entry]:
    """Yield a zip's entries but for folders.

    Raises:
        ArchiveError: Its directory is damaged.
        LimitError: Its directory is larger than that of `limits.max_job_files` entries.
    """
    with _open(path, limits) as archive:
        for position, info in enumerate(archive.infolist()):
            if not info.is_dir():
                yield Entry(name=info.filename, position=position, size=info.file_size, refusal=refusal_of(info))


@contextlib.contextmanager
def _open(path: Path, limits: JobLimits) -> Iterator[zipfile.ZipFile]:
    with _BoundedFile(path, limits.max_job_files * _ENTRY_BYTES + _READ_BYTES) as file:
        try:
            archive = zipfile.ZipFile(file)
        except LimitError:
            raise
        except ZIP_FAULTS as error:
            raise ArchiveError("the zip is damaged: its directory can't be read") from error
        with archive:
            yield archive


class _BoundedFile(io.FileIO):
    """A file that refuses to read more than `most` bytes at once."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__(path)
        self._bytes = path.stat().st_size
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        left = self._bytes - self.tell()
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > self._most:
            raise LimitError("the zip's directory lists more entries than are allowed")
        return super().read(max(0, wanted)) or b""
