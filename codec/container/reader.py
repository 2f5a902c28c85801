"""Reading any stretch of a container in a seekable file: only the header, the footer and the blocks asked for.

Axes: codes [S, K, frames].
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from codec.container.block import (
    BLOCK_HEADER,
    INDEX_MODULUS,
    Block,
    CheckedBlock,
    blocks_bytes,
    check_block,
    describe_block,
    parse_block_header,
)
from codec.container.coder import BlockCoder
from codec.container.footer import INDEX_STEP, find_footer
from codec.container.header import MAX_HEADER_BYTES, Header, parse_header
from codec.container.section import parse_section
from codec.container.stream import read_all, read_up_to
from codec.errors import BitstreamError
from codec.metadata import Metadata


class ContainerReader:
    """Reads stretches of the container that `file` is, from its first byte to its last.

    An entropy-coded one needs its `coder` to read blocks.

    Raises:
        BitstreamError: Not a container, of another version, cut short, or its header or footer is damaged.
    """

    def __init__(self, file: BinaryIO, coder: BlockCoder | None = None) -> None:
        self._file = file
        self._coder = coder
        end = file.seek(0, io.SEEK_END)
        self._opening = parse_header(self._read_at(0, min(end, MAX_HEADER_BYTES)))
        self._footer, self._blocks_end = find_footer(self._opening, self._read_at, end)
        self.header: Header = self._footer.complete(self._opening.header)
        if max(self._footer.offsets, default=0) >= self._blocks_end:
            raise BitstreamError("the footer contradicts the blocks: whoever wrote it has a fault")
        least, most = blocks_bytes(self.header)
        if not least <= self._blocks_end - self._opening.blocks_start <= most:
            raise BitstreamError("the container is cut short: its blocks don't take the bytes that its footer implies")

    def read_metadata(self) -> Metadata | None:
        """Return the metadata, if the container has any.

        Raises:
            BitstreamError: They are damaged, or were written wrong.
        """
        return parse_section(self._opening, self._read_at(self._opening.num_bytes, self._opening.blocks_start))

    def read_frames(self, start: int, count: int) -> NDArray[np.int64]:
        """Return the codes [S, K, count] from frame `start` on, reading only the blocks that hold them.

        Raises:
            ValueError: The container has no such frames.
            BitstreamError: One of the blocks is damaged.
            ModelMismatchError: The container needs another coder.
        """
        header = self.header
        if not 0 <= start < start + count <= header.num_frames:
            raise ValueError(f"frames {start} to {start + count} are not within the {header.num_frames} there are")
        first, last = self._block_of(start), self._block_of(start + count - 1)
        codes = [block.codes for block in self.read_blocks(range(first, last + 1))]
        skip = start - header.first_frame(first)
        return np.concatenate(codes, axis=2)[..., skip : skip + count]

    def read_blocks(self, indices: range) -> Iterator[Block]:
        """Yield the blocks from `indices.start` up to, and without, `indices.stop`, which the container has.

        Raises:
            BitstreamError: One of the blocks is damaged.
            ModelMismatchError: The container needs another coder.
        """
        return read_all(self.header, self._checked_blocks(indices), self._coder)

    def _checked_blocks(self, indices: range) -> Iterator[CheckedBlock]:
        offset = self._find_block(indices.start)
        for index in indices:
            block, offset = self._read_block(offset, index)
            yield block

    def _block_of(self, frame: int) -> int:
        last = self.header.num_blocks - 1
        return last if frame >= self.header.first_frame(last) else frame // self.header.frames_per_block

    def _find_block(self, index: int) -> int:
        """Return where block `index` begins: from the index to the last listed one before it, then along lengths."""
        entry = index // INDEX_STEP
        offset = self._footer.offsets[entry - 1] if entry else self._opening.blocks_start
        for passed in range(entry * INDEX_STEP, index):
            block = parse_block_header(self._read_at(offset, offset + BLOCK_HEADER.size))
            if block is None or block.number != passed % INDEX_MODULUS:
                raise BitstreamError(f"{describe_block(self.header, passed)} is damaged: its length can't be read")
            offset += BLOCK_HEADER.size + block.length
        return offset

    def _read_block(self, offset: int, index: int) -> tuple[CheckedBlock, int]:
        start = offset + BLOCK_HEADER.size
        head = parse_block_header(self._read_at(offset, start))
        where = describe_block(self.header, index)
        if head is None or start + head.length > self._blocks_end:
            raise BitstreamError(f"{where} is damaged or cut short")
        block = check_block(self._opening, head, self._read_at(start, start + head.length), index)
        if block.frames != self.header.block_frames(index):
            raise BitstreamError(f"{where} holds {block.frames} frames: whoever wrote it has a fault")
        return block, start + head.length

    def _read_at(self, start: int, stop: int) -> bytes:
        self._file.seek(start)
        return read_up_to(self._file, stop - start)


def read_header(data: bytes) -> Header:
    """Parse the header and the totals of a whole container, without a look at its blocks.

    Raises:
        BitstreamError: Not a container, of another version, cut short, or its header or footer is damaged.
    """
    return ContainerReader(io.BytesIO(data)).header


def read_metadata(data: bytes) -> Metadata | None:
    """Return the metadata of a whole container, if it has any, without a look at its blocks.

    Raises:
        BitstreamError: Not a container, cut short, or its header, footer or metadata are damaged.
    """
    return ContainerReader(io.BytesIO(data)).read_metadata()
