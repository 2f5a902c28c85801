"""The SHA-256 of content, and beside it the checksum that its source promises."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from typing import BinaryIO

from codec.errors import DataError

_CHUNK_BYTES = 1 << 20


def content_sha256(content: Path | BinaryIO, promised: str | None = None) -> str:
    """Return the SHA-256 of a file, which is at its beginning afterwards.

    `promised` is a checksum that it has to have, as `crc32:HEX` or with one of hashlib's names.

    Raises:
        DataError: It has another.
        OSError: It can't be read.
    """
    if isinstance(content, Path):
        with content.open("rb") as file:
            return content_sha256(file, promised)
    algorithm, _, expected = (promised or "").partition(":")
    digest, crc = hashlib.sha256(), 0
    other = hashlib.new(algorithm, usedforsecurity=False) if algorithm not in ("", "crc32", "sha256") else None
    while chunk := content.read(_CHUNK_BYTES):
        digest.update(chunk)
        if algorithm == "crc32":
            crc = zlib.crc32(chunk, crc)
        elif other is not None:
            other.update(chunk)
    content.seek(0)
    found = f"{crc:08x}" if algorithm == "crc32" else (other or digest).hexdigest()
    if expected and found != expected.lower():
        raise DataError(f"its content is not what its source says: the {algorithm} is {found}, not {expected}")
    return digest.hexdigest()
