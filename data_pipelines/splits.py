"""Splits: which part of the data a file belongs to, decided by the sha256 of its bytes alone.

Neither its name nor what else is in the data matters, so new data never moves an old file.
"""

from __future__ import annotations

from typing import Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


def split_of(sha256: str, *, val_percent: float, test_percent: float) -> Split:
    """Return the split of a file, from the first 64 bits of its sha256."""
    percent = int(sha256[:16], 16) / 2**64 * 100
    if percent < val_percent:
        return "val"
    return "test" if percent < val_percent + test_percent else "train"
