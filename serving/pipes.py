"""`-` in place of a file's name: standard input, standard output."""

from __future__ import annotations

import sys
from pathlib import Path

PIPE = Path("-")


def read_input(path: Path) -> bytes:
    """Return everything that the file, or standard input, holds."""
    if path == PIPE:
        return sys.stdin.buffer.read()
    return path.read_bytes()


def write_output(path: Path, data: bytes) -> None:
    """Write a file atomically, or everything to standard output."""
    from codec.files import write_bytes

    if path != PIPE:
        write_bytes(path, data)
        return
    stream = sys.stdout.buffer
    stream.write(data)
    stream.flush()
