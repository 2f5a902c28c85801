"""Archives of many files, read with distrust: zip, tar and gzipped tar, told by their content.

Nothing is unpacked by name: an entry's bytes go to a file of our own naming, one entry at a time. Before that, all
entries are listed, and what they claim is bounded: their number, their bytes, and how much more those are than the
archive's own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from codec.errors import LimitError
from serving.jobs.errors import ArchiveError
from serving.jobs.limits import JobLimits

Kind = Literal["file", "zip", "tar", "tar.gz"]
# An archive may hold so many times its own bytes, and a little more, so that small ones of silence pass.
MAX_RATIO = 100
FREE_BYTES = 64 * 2**20
CHUNK_BYTES = 1 << 18
_TAR_MAGIC_AT = 257
# What macOS packs beside the files.
_CLUTTER = ("__MACOSX/", "./__MACOSX/")

# Called often while reading takes long; what it raises ends the reading.
Check = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry: the name it claims, where its reader finds it, its size unpacked, and why it can't be used, if so."""

    name: str
    position: int
    size: int
    refusal: str | None = None


class Members(Protocol):
    """Reads the content of an archive's entries; those of ascending position are quick to find."""

    def read(self, position: int, size: int) -> Iterator[bytes]:
        """Yield an entry's `size` bytes in chunks.

        Raises:
            ArchiveError: The entry is damaged or cut short.
        """
        ...


def detect_kind(path: Path) -> Kind:
    """Tell by its first bytes whether a file is an archive; what is none is `file`, whatever it holds."""
    with path.open("rb") as file:
        head = file.read(512)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    if head[:3] == b"\x1f\x8b\x08":
        return "tar.gz"
    return "tar" if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar" else "file"


def list_entries(path: Path, kind: Kind, limits: JobLimits, check: Check) -> list[Entry]:
    """List an archive's entries but for folders, in order of position.

    Raises:
        ArchiveError: The archive is damaged.
        LimitError: It holds more than `limits` allow; nothing was unpacked.
    """
    from serving.jobs.tars import list_tar
    from serving.jobs.zips import list_zip

    found = list_zip(path, limits) if kind == "zip" else list_tar(path, kind, limits, check)
    return [entry for entry in bounded(found, path.stat().st_size, limits) if not entry.name.startswith(_CLUTTER)]


@contextlib.contextmanager
def open_members(path: Path, kind: Kind, limits: JobLimits, check: Check) -> Iterator[Members]:
    """Yield what reads the entries of an archive that was listed."""
    from serving.jobs.tars import TarMembers
    from serving.jobs.zips import ZipMembers

    if kind == "zip":
        with ZipMembers.open(path, limits) as members:
            yield members
    else:
        with TarMembers.open(path, kind, check) as members:
            yield members


def bounded(entries: Iterable[Entry], archive_bytes: int, limits: JobLimits) -> Iterator[Entry]:
    """Pass entries on as long as they keep to the limits.

    Raises:
        LimitError: There are too many, or they claim too many bytes.
    """
    unpacked = 0
    for number, entry in enumerate(entries, start=1):
        if number > limits.max_job_files:
            raise LimitError(f"the archive holds more than the {limits.max_job_files} entries allowed")
        unpacked += entry.size
        check_unpacked(unpacked, archive_bytes, limits)
        yield entry


def check_unpacked(unpacked_bytes: int, archive_bytes: int, limits: JobLimits) -> None:
    """Check that an archive of `archive_bytes` may unpack to `unpacked_bytes`.

    Raises:
        LimitError: It may not.
    """
    if unpacked_bytes > limits.max_job_unpacked_bytes:
        raise LimitError(f"the archive unpacks to more than the {limits.max_job_unpacked_bytes} bytes allowed")
    if unpacked_bytes > MAX_RATIO * archive_bytes + FREE_BYTES:
        raise LimitError(f"the archive unpacks to more than {MAX_RATIO} times its size: pack it with less compression")


def short(position: int) -> ArchiveError:
    """Return the error for an entry that ends before its size."""
    return ArchiveError(f"the archive's entry at {position} is damaged or cut short")
