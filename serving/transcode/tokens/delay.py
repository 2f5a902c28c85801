"""MusicGen's delay pattern (Copet et al., 2023, section 2.2): stage k comes k frames later than the first.

A model that predicts all stages of a step at once then knows the coarser ones of the same frame. Where a stage has no
code yet, or none any more, stands the padding: the codebook's size, the first value that is no code. MusicGen's own
sequences begin with one more step of padding, which is its trainer's to add.

Axes: codes uint16 [S * K, L]; delayed [S * K, L + K - 1].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codec.errors import CapabilityError, DataError


def check_padding(codebook_size: int) -> None:
    """Check that there is a padding for such codes.

    Raises:
        CapabilityError: It doesn't fit into 16 bits.
    """
    if codebook_size > np.iinfo(np.uint16).max:
        raise CapabilityError(f"a codebook of {codebook_size} leaves no 16-bit value for padding: leave the delay out")


def apply_delay(codes: NDArray[np.uint16], num_quantizers: int, codebook_size: int) -> NDArray[np.uint16]:
    """Return the codes of S streams of K stages, delayed; each stream begins with its first stage again.

    Raises:
        CapabilityError: The padding of so large a codebook doesn't fit into 16 bits.
    """
    check_padding(codebook_size)
    rows, frames = codes.shape
    delayed = np.full((rows, frames + num_quantizers - 1), codebook_size, np.uint16)
    for row in range(rows):
        start = row % num_quantizers
        delayed[row, start : start + frames] = codes[row]
    return delayed


def undo_delay(delayed: NDArray[np.uint16], num_quantizers: int, codebook_size: int) -> NDArray[np.uint16]:
    """Return the codes of which `apply_delay` made these.

    Raises:
        DataError: They are not in that pattern.
    """
    rows, steps = delayed.shape
    frames = steps - num_quantizers + 1
    if frames < 0 or rows % num_quantizers:
        raise DataError(f"{rows} rows of {steps} steps are no delayed codes of {num_quantizers} stages")
    codes = np.empty((rows, frames), np.uint16)
    for row in range(rows):
        start = row % num_quantizers
        codes[row] = delayed[row, start : start + frames]
    if not np.array_equal(apply_delay(codes, num_quantizers, codebook_size), delayed) or (codes >= codebook_size).any():
        raise DataError(f"padding ({codebook_size}) stands elsewhere than in delayed codes of {num_quantizers} stages")
    return codes
