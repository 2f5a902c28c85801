"""Checksums of files, and lists of them that `sha256sum -c` checks.

`source-sha256.txt` has those of what was transcoded, checked in SRC; `output-sha256.txt` those of what came of it,
checked in DST.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from codec.files import atomic_path
from serving.transcode.bags.names import sum_line

SOURCE_SUMS = "source-sha256.txt"
OUTPUT_SUMS = "output-sha256.txt"
CHUNK_BYTES = 1 << 20


def file_checksum(path: Path, algorithm: str = "sha256") -> str:
    """Return a file's checksum, in hexadecimal."""
    with path.open("rb") as file:
        return stream_checksum(file, algorithm)


def stream_checksum(file: BinaryIO, algorithm: str = "sha256") -> str:
    """Return the checksum of what a file holds from its position on, in hexadecimal."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def write_sums(path: Path, sums: Iterable[tuple[str, str]]) -> str:
    """Write (name, checksum) pairs as a list for `sha256sum -c`, atomically; return the list's own checksum."""
    return write_lines(path, (sum_line(checksum, name) for name, checksum in sums))


def write_lines(path: Path, lines: Iterable[str]) -> str:
    """Write lines, whose names may hold bytes that are no text, atomically; return the checksum of them all."""
    digest = hashlib.sha256()
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for line in lines:
            data = os.fsencode(line)
            digest.update(data)
            file.write(data)
    return digest.hexdigest()
