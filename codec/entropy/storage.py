"""Entropy tables as the file `entropy.safetensors` of a package."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from codec.entropy.tables import EntropyTables
from codec.errors import PackageError


def save_tables(tables: EntropyTables, path: Path) -> None:
    """Write the tables to a fresh file."""
    save_file({field.name: getattr(tables, field.name) for field in fields(tables)}, path)


def load_tables(path: Path) -> EntropyTables:
    """Read what `save_tables` wrote.

    Raises:
        PackageError: It holds something else.
    """
    try:
        return EntropyTables(**load_file(path))
    except (SafetensorError, TypeError, ValueError) as error:
        raise PackageError(f"'{path}' doesn't hold entropy tables: {error}") from None
