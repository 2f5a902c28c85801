"""Folders of the store: their names, CONTENT-RANDOM, which BentoML's own models beside them don't have; their sizes."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from pathlib import Path

from codec.files import sync_directory

_HASH_DIGITS = 12
_NAME = re.compile(r"[0-9a-f]{12}-[0-9a-f]{8}")


def new_name(content_hash: str) -> str:
    """Return a name that no folder has."""
    return f"{content_prefix(content_hash)}-{secrets.token_hex(4)}"


def content_prefix(content_hash: str) -> str:
    """Return what the names of all folders of that content begin with."""
    return content_hash[:_HASH_DIGITS]


def is_folder_name(name: str) -> bool:
    """Say whether `new_name` could have made `name`."""
    return _NAME.fullmatch(name) is not None


def size_bytes(folder: Path) -> int:
    """Return the bytes of all files in `folder`; 0 if it isn't there."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # another process may be removing it
                total += Path(parent, name).lstat().st_size
    return total


def flush_folder(folder: Path) -> None:
    """Flush the files in `folder` to disk, and that they are in it."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_directory(folder)


def remove_folder(folder: Path) -> None:
    """Remove `folder`, whole or half, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)
