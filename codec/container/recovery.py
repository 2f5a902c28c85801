"""Recovering a damaged container: the codes of every whole block, and a mask of the frames that had to be made up.

Missing frames repeat the codes of the frame before them (at the beginning, of the first that is there), so that the
decoder's context on both sides of a gap sounds as it did; what plays in the gap is the caller's to decide, by the mask.

Axes: codes [S, K, L].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import tee

import numpy as np
from numpy.typing import NDArray

from codec.container.coder import BlockCoder
from codec.container.header import MAX_HEADER_BYTES, Header, Opening, parse_header
from codec.container.scan import Data, ScanReport, locate_footer, scan_container, whole_blocks
from codec.container.stream import read_all
from codec.errors import BitstreamError

MAX_MISSING_CODES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """`codes` [S, K, L], in which `missing` [L] marks the frames that are made up, and the scan's report."""

    codes: NDArray[np.int64]
    missing: NDArray[np.bool_]
    report: ScanReport

    @property
    def header(self) -> Header:
        """The header, with the totals of the footer or else of what was found."""
        return self.report.header


def recover_container(data: Data, coder: BlockCoder | None = None) -> Recovered:
    """Return everything undamaged of a container; an entropy-coded one needs its `coder`.

    Raises:
        BitstreamError: The header can't be read, no block is whole, or more than 4 million codes are missing.
        ModelMismatchError: The container needs another coder.
    """
    report = scan_container(data)
    header = report.header
    if report.num_whole == 0 or header.num_frames == 0:
        raise BitstreamError("nothing can be recovered: no block of the container is whole")
    lost = (header.num_blocks - report.num_whole) * header.frames_per_block
    if lost * header.num_streams * header.num_quantizers > MAX_MISSING_CODES:
        raise BitstreamError(f"of {header.num_blocks} blocks only {report.num_whole} are whole: too few to recover")
    codes = np.zeros((header.num_streams, header.num_quantizers, header.num_frames), np.int64)
    missing = np.ones(header.num_frames, np.bool_)
    opening = parse_header(data[:MAX_HEADER_BYTES])
    for index, part in _read_whole(opening, data, coder):
        start = index * header.frames_per_block
        stop = min(header.num_frames, start + part.shape[2])
        if start < stop:
            codes[..., start:stop], missing[start:stop] = part[..., : stop - start], False
    _repeat_previous(codes, missing)
    return Recovered(codes=codes, missing=missing, report=report)


def _read_whole(opening: Opening, data: Data, coder: BlockCoder | None) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield the index and the codes [S, K, frames] of each whole block."""
    blocks, same = tee(found.block for found in whole_blocks(opening, data, *locate_footer(opening, data)))
    for block, codes in zip(blocks, read_all(opening.header, same, coder), strict=True):
        yield block.index, codes


def _repeat_previous(codes: NDArray[np.int64], missing: NDArray[np.bool_]) -> None:
    """Fill each missing frame of codes [S, K, L], in place."""
    frames = np.arange(len(missing))
    previous = np.maximum.accumulate(np.where(missing, -1, frames))
    source = np.where(previous < 0, np.argmin(missing), previous)
    codes[..., missing] = codes[..., source[missing]]
