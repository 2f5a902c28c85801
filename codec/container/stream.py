"""Reading a container from its start to its end, block by block, without seeking: from a pipe, or from memory.

Strict: whatever is not as the standard says ends it with an error.

Axes: codes [S, K, frames]; scales [S, N], N segments, or [S, 0] where blocks are not segments.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from codec.container.block import (
    BLOCK_HEADER,
    Block,
    CheckedBlock,
    check_block,
    describe_block,
    parse_block_header,
    read_blocks,
)
from codec.container.coder import BlockCoder
from codec.container.footer import FOOTER_MARKER, INDEX_STEP, footer_bytes, parse_footer
from codec.container.header import PREFIX, Header, header_length, parse_header
from codec.container.section import parse_section
from codec.errors import BitstreamError
from codec.metadata import Metadata

# Blocks that are entropy-decoded side by side, and the codes they hold at most.
MAX_TOGETHER = 128
MAX_CODES_TOGETHER = 1 << 20


@dataclass(frozen=True)
class Container:
    """A parsed container: its `header`, all its `codes` [S, K, L], the `scales` [S, N] of its segments, its metadata.

    There are no scales where blocks are not segments.
    """

    header: Header
    codes: NDArray[np.int64]
    scales: NDArray[np.float32]
    metadata: Metadata | None = None


class ContainerStream:
    """Reads one container from `file`, holding one block at a time.

    `header` and `metadata`, if any, are there at once; the header's totals are 0 until iteration has ended well. An
    entropy-coded container needs its `coder`.

    Raises:
        BitstreamError: Not a container, of another version, cut short or damaged.
    """

    def __init__(self, file: BinaryIO, coder: BlockCoder | None = None) -> None:
        self._file = file
        self._coder = coder
        prefix = read_up_to(file, PREFIX.size)
        data = prefix + read_up_to(file, header_length(prefix) - PREFIX.size)
        self._opening = parse_header(data)
        self.header = self._opening.header
        self._position = len(data)
        self._offsets: list[int] = []
        self._num_frames = 0
        self._short: list[int] = []
        section = self._read(self._opening.blocks_start - len(data))
        self.metadata = parse_section(self._opening, section)

    def __iter__(self) -> Iterator[Block]:
        """Yield each block; only the last, of segments the last two, may hold fewer than `frames_per_block` frames.

        Raises:
            BitstreamError: The container is cut short, damaged, or followed by other bytes.
            ModelMismatchError: It needs another coder.
        """
        for block in self.checked_blocks():
            yield from read_blocks(self.header, [block], self._coder)

    def checked_blocks(self) -> Iterator[CheckedBlock]:
        """Yield each block, its codes not yet unpacked.

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
            if self._short or block.frames < self.header.frames_per_block:
                self._short.append(block.frames)
            self._num_frames += block.frames
            index += 1
            yield block
        self._read_footer(index)

    def _read_block(self, start: bytes, index: int) -> CheckedBlock:
        data = start + self._read(BLOCK_HEADER.size - len(start))
        head = parse_block_header(data)
        if head is None:
            raise BitstreamError(f"{describe_block(self.header, index)} has no marker: the container is damaged")
        return check_block(self._opening, head, self._read(head.length), index)

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


def read_container(data: bytes, coder: BlockCoder | None = None) -> Container:
    """Parse a whole container; an entropy-coded one needs its `coder`.

    Raises:
        BitstreamError: Not a container, of another version, cut short, damaged, or followed by other bytes.
        ModelMismatchError: It needs another coder.
    """
    stream = ContainerStream(io.BytesIO(data))
    blocks = list(read_all(stream.header, stream.checked_blocks(), coder))
    codes = np.concatenate([block.codes for block in blocks], axis=2)
    scales = np.concatenate([block.scales for block in blocks], axis=1)
    return Container(stream.header, codes, scales, stream.metadata)


def read_all(header: Header, blocks: Iterable[CheckedBlock], coder: BlockCoder | None) -> Iterator[Block]:
    """Yield what each of many blocks holds, unpacked many side by side.

    Raises:
        BitstreamError: A block was written wrong.
        ModelMismatchError: They need another coder.
    """
    together = max(1, min(MAX_TOGETHER, MAX_CODES_TOGETHER // header.num_codes(header.frames_per_block)))
    remaining = iter(blocks)
    while group := list(islice(remaining, together)):
        yield from read_blocks(header, group, coder)


def read_up_to(file: BinaryIO, count: int) -> bytes:
    """Return the next `count` bytes, fewer only at the file's end; a pipe may give them in pieces."""
    parts: list[bytes] = []
    while count and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
