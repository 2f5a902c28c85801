"""Names of files in archives: which are safe to repeat in a result, and what an output is called."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from serving.jobs.errors import ArchiveError
from serving.jobs.job import Operation

MAX_NAME_BYTES = 512
CONTAINER_SUFFIX = ".nac"
ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")
DEFAULT_NAME = "audio"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:")


def safe_name(name: str) -> str:
    """Return an entry's name, relative and without `.` parts.

    Raises:
        ArchiveError: It leaves the archive, or is not one that every system can keep.
    """
    if not name or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise ArchiveError(f"its name is empty or longer than {MAX_NAME_BYTES} bytes")
    if name.startswith("/") or _DRIVE.match(name):
        raise ArchiveError("its name is absolute: pack files under relative names")
    if "\\" in name or _CONTROL.search(name) or name != printable(name):
        raise ArchiveError("its name holds a backslash, a control character or a character that is no text")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ArchiveError("its name holds '..': pack files under names that stay within the archive")
    if not parts:
        raise ArchiveError("its name names no file")
    return "/".join(parts)


def printable(name: str) -> str:
    """Return a name that can be shown and stored: cut to length, and without characters that are no text."""
    return _CONTROL.sub("?", name.encode("utf-8", "replace")[:MAX_NAME_BYTES].decode("utf-8", "replace"))


def upload_name(name: str | None) -> str:
    """Return the last part of the name that an upload came with, or a default."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    return printable(last).strip(". ") or DEFAULT_NAME


def output_name(name: str, operation: Operation, format: str) -> str:
    """Return what the output of `name` is called; decoded audio is of `format`.

    `a.wav` becomes `a.wav.nac`, and back; `a.mp3.nac` becomes `a.mp3.wav`.
    """
    if operation == "encode":
        return name + CONTAINER_SUFFIX
    stem = name.removesuffix(CONTAINER_SUFFIX)
    return stem if PurePosixPath(stem).suffix.lower() == f".{format}" else f"{stem}.{format}"


def archive_name(name: str) -> str:
    """Return what the result of an archive called `name` is called."""
    stem = next((name.removesuffix(suffix) for suffix in ARCHIVE_SUFFIXES if name.endswith(suffix)), name)
    return f"{stem or DEFAULT_NAME}.zip"
