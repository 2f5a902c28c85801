"""`-` in place of a file's name: standard input, standard output."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import BinaryIO

PIPE = Path("-")


def open_input(path: Path) -> BinaryIO:
    """Open the file, or everything that standard input holds."""
    return io.BytesIO(sys.stdin.buffer.read()) if path == PIPE else path.open("rb")


def write_output(path: Path, data: bytes) -> None:
    """Write a file atomically, or everything to standard output."""
    from codec.files import write_bytes

    if path != PIPE:
        write_bytes(path, data)
        return
    stream = sys.stdout.buffer
    stream.write(data)
    stream.flush()
