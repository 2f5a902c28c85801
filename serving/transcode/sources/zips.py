"""What the directory of a zip lists. `zipfile` holds that whole: about 65 MB for 100,000 entries."""

from __future__ import annotations

import calendar
import zipfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from codec.errors import DataError
from serving.transcode.entry import Entry, Locator
from serving.transcode.place import open_file
from serving.transcode.sources.tars import checked_name
from serving.zip_entries import ZIP_FAULTS, refusal_of

# What a directory may take; zipfile reads it at once.
MAX_DIRECTORY_BYTES = 1 << 30


def list_zip(url: str) -> Iterator[Entry]:
    """Yield a zip's entries but for folders, in the order of their content.

    Raises:
        DataError: Its directory is damaged, or can't be read.
    """
    with open_file(url) as file:
        try:
            archive = zipfile.ZipFile(cast(BinaryIO, _Bounded(file, url)))
        except DataError:
            raise
        except ZIP_FAULTS as error:
            raise DataError(f"the zip '{url}' is damaged: its directory can't be read") from error
        with archive:
            for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
                if not info.is_dir():
                    yield _entry(info, url)


def _entry(info: zipfile.ZipInfo, url: str) -> Entry:
    name, refusal = checked_name(info.filename)
    locator = Locator(
        url=url,
        kind="zip",
        position=info.header_offset,
        packed=info.compress_size,
        deflated=info.compress_type == zipfile.ZIP_DEFLATED,
    )
    return Entry(
        name=name,
        size=info.file_size,
        stamp=f"{info.CRC:08x}",
        locator=locator,
        mtime_ns=_mtime(info) * 10**9,
        checksum=f"crc32:{info.CRC:08x}",
        refusal=refusal or refusal_of(info),
    )


def _mtime(info: zipfile.ZipInfo) -> int:
    """Return the time of modification, which has no zone, as if in UTC: the same everywhere."""
    try:
        return max(0, calendar.timegm((*info.date_time, 0, 0, 0)))
    except (ValueError, OverflowError):
        return 0


class _Bounded:
    """A file that refuses to read much at once."""

    def __init__(self, file: BinaryIO, url: str) -> None:
        self._file = file
        self._url = url

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, position: int, whence: int = 0) -> int:
        return self._file.seek(position, whence)

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY_BYTES:
            raise DataError(f"the directory of the zip '{self._url}' claims more than {MAX_DIRECTORY_BYTES} bytes")
        return self._file.read(size if size >= 0 else MAX_DIRECTORY_BYTES)
