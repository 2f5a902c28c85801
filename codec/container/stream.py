"""Reading a container from its start to its end, block by block, without seeking: from a pipe, or from memory.

Strict: whatever is not as the standard says ends it with an error.

Axes: codes [S, K, frames]; scales [S, N], N segments, or [S, 0] where blocks are not segments.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from codec.container.block import BLOCK_HEADER, Block, describe_block, parse_block_header, read_block
from codec.container.footer import FOOTER_MARKER, INDEX_STEP, footer_bytes, parse_footer
from codec.container.header import PREFIX, Header, header_length, parse_header
from codec.errors import BitstreamError


@dataclass(frozen=True)
class Container:
    """A parsed container: its `header`, all its `codes` [S, K, L], and the `scales` [S, N] of its segments, if any."""

    header: Header
    codes: NDArray[np.int64]
    scales: NDArray[np.float32]


class ContainerStream:
    """Reads one container from `file`, holding one block at a time.

    `header` is there at once; its totals are 0 until iteration has ended well.

    Raises:
        BitstreamError: Not a container, of another version, cut short or damaged.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        prefix = read_up_to(file, PREFIX.size)
        data = prefix + read_up_to(file, header_length(prefix) - PREFIX.size)
        self._opening = parse_header(data)
        self.header = self._opening.header
        self._position = len(data)
        self._offsets: list[int] = []
        self._num_frames = 0
        self._short: list[int] = []

    def __iter__(self) -> Iterator[Block]:
        """Yield each block; only the last, of segments the last two, may hold fewer than `frames_per_block` frames.

        Raises:
            BitstreamError: The container is cut short, damaged, or followed by other bytes.
        """
        index = 0
        while (start := self._read(len(FOOTER_MARKER))) != FOOTER_MARKER:
            if len(self._short) > (0 if self.header.overlap is None else 1):
                raise BitstreamError(f"block {index - 1} is short but not the last: whoever wrote it has a fault")
            if index and index % INDEX_STEP == 0:
                self._offsets.append(self._position - len(start))
            block = self._read_block(start, index)
            frames = block.codes.shape[2]
            if self._short or frames < self.header.frames_per_block:
                self._short.append(frames)
            self._num_frames += frames
            index += 1
            yield block
        self._read_footer(index)

    def _read_block(self, start: bytes, index: int) -> Block:
        data = start + self._read(BLOCK_HEADER.size - len(start))
        head = parse_block_header(data)
        if head is None:
            raise BitstreamError(f"{describe_block(self.header, index)} has no marker: the container is damaged")
        return read_block(self._opening, head, self._read(head.length), index)

    def _read_footer(self, num_blocks: int) -> None:
        if num_blocks == 0:
            raise BitstreamError("the container holds no block")
        rest = self._read(footer_bytes(num_blocks) - len(FOOTER_MARKER))
        footer = parse_footer(self._opening, FOOTER_MARKER + rest)
        header = footer.complete(self.header)
        counts = (header.num_blocks, header.short_blocks)
        if counts != (num_blocks, tuple(self._short)) or footer.offsets != tuple(self._offsets):
            raise BitstreamError("the footer contradicts the blocks: whoever wrote it has a fault")
        if extra := len(read_up_to(self._file, 1 << 16)):
            raise BitstreamError(f"the container is followed by {extra} bytes or more that don't belong to it")
        self.header = header

    def _read(self, count: int) -> bytes:
        data = read_up_to(self._file, count)
        if len(data) < count:
            raise BitstreamError(f"the container is cut short after {self._num_frames} frames")
        self._position += count
        return data


def read_container(data: bytes) -> Container:
    """Parse a whole container.

    Raises:
        BitstreamError: Not a container, of another version, cut short, damaged, or followed by other bytes.
    """
    stream = ContainerStream(io.BytesIO(data))
    blocks = list(stream)
    codes = np.concatenate([block.codes for block in blocks], axis=2)
    return Container(stream.header, codes, np.concatenate([block.scales for block in blocks], axis=1))


def read_up_to(file: BinaryIO, count: int) -> bytes:
    """Return the next `count` bytes, fewer only at the file's end; a pipe may give them in pieces."""
    parts: list[bytes] = []
    while count and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
