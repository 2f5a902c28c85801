"""Recovering a damaged container: the codes of every whole block, and a mask of the frames that had to be made up.

Missing frames repeat the codes of the frame before them (at the beginning, of the first that is there), so that the
decoder's context on both sides of a gap sounds as it did, and missing segments the scale of the one before; what plays
in the gap is the caller's to decide, by the mask.

Axes: codes [S, K, L]; scales [S, N], N segments, or [S, 0] where blocks are not segments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import tee

import numpy as np
from numpy.typing import NDArray

from codec.container.block import Block
from codec.container.coder import BlockCoder
from codec.container.header import MAX_HEADER_BYTES, Header, Opening, parse_header
from codec.container.scan import Data, ScanReport, locate_footer, scan_container, whole_blocks
from codec.container.stream import read_all
from codec.errors import BitstreamError
from codec.metadata import Metadata

MAX_MISSING_CODES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """`codes` [S, K, L], in which `missing` [L] marks the frames that are made up, `scales`, and the scan's report."""

    codes: NDArray[np.int64]
    scales: NDArray[np.float32]
    missing: NDArray[np.bool_]
    report: ScanReport

    @property
    def header(self) -> Header:
        """The header, with the totals of the footer or else of what was found."""
        return self.report.header

    @property
    def metadata(self) -> Metadata | None:
        """The metadata, if there are any and they are whole."""
        return self.report.metadata


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
    scales = np.zeros((header.num_streams, header.num_blocks if header.scales_per_block else 0), np.float32)
    missing_scales = np.ones(scales.shape[1], np.bool_)
    opening = parse_header(data[:MAX_HEADER_BYTES])
    for index, block in _read_whole(opening, data, coder):
        if index >= header.num_blocks:
            break
        start = header.first_frame(index)
        stop = start + min(block.codes.shape[2], header.block_frames(index))
        codes[..., start:stop], missing[start:stop] = block.codes[..., : stop - start], False
        if header.scales_per_block:
            scales[:, index], missing_scales[index] = block.scales[:, 0], False
    _repeat_previous(codes, missing)
    _repeat_previous(scales, missing_scales)
    return Recovered(codes=codes, scales=scales, missing=missing, report=report)


def _read_whole(opening: Opening, data: Data, coder: BlockCoder | None) -> Iterator[tuple[int, Block]]:
    """Yield the index and the content of each whole block."""
    found, same = tee(whole.block for whole in whole_blocks(opening, data, *locate_footer(opening, data)))
    for checked, block in zip(found, read_all(opening.header, same, coder), strict=True):
        yield checked.index, block


def _repeat_previous(values: NDArray[np.generic], missing: NDArray[np.bool_]) -> None:
    """Fill each missing column of values [..., N], in place."""
    if not missing.any():
        return
    columns = np.arange(len(missing))
    previous = np.maximum.accumulate(np.where(missing, -1, columns))
    source = np.where(previous < 0, np.argmin(missing), previous)
    values[..., missing] = values[..., source[missing]]
