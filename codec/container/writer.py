"""Writing a container: header, blocks as their frames arrive, footer. It never seeks, so it can write to a pipe.

Axes: codes [S, K, frames]; scales [S, N], N segments, or [S, 0] where blocks are not segments.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from codec.container.block import Block, blocks_bytes, write_blocks
from codec.container.coder import BlockCoder, require_coder
from codec.container.footer import INDEX_STEP, Footer, footer_bytes, write_footer
from codec.container.header import Header, parse_header, write_header
from codec.container.section import write_section
from codec.metadata import Metadata

# Blocks that are entropy-coded side by side, which is several times as fast.
_TOGETHER = 256


class ContainerWriter:
    """Writes one container to `file`, which it leaves open.

    The totals in `header` are not used: `close` is told them. The bytes don't depend on how the frames are divided
    over calls of `write`. A header that names a coder needs that coder, and one that counts `metadata_bytes` that
    metadata. Without `close` the container is cut short, and readers say so.
    """

    def __init__(
        self, file: BinaryIO, header: Header, coder: BlockCoder | None = None, metadata: Metadata | None = None
    ) -> None:
        self._file = file
        self._coder = require_coder(header, coder) if header.coder else None
        data = write_header(header)
        self._opening = parse_header(data)
        data += write_section(self._opening, b"" if metadata is None else metadata.to_json())
        self._pending = np.empty((header.num_streams, header.num_quantizers, 0), np.int64)
        self._num_blocks = 0
        self._num_frames = 0
        self._short: list[int] = []
        self._offsets: list[int] = []
        self._num_bytes = 0
        self._put(data)

    @property
    def num_bytes(self) -> int:
        """Bytes written so far."""
        return self._num_bytes

    @property
    def num_frames(self) -> int:
        """Frames given so far."""
        return self._num_frames + self._pending.shape[2]

    def write(self, codes: NDArray[np.int64]) -> None:
        """Append codes [S, K, frames]; every block that they complete is written.

        Raises:
            ValueError: The codes don't have the header's streams and stages, one is outside the codebook, or blocks are
                segments.
        """
        header = self._opening.header
        if header.overlap is not None:
            raise ValueError("the blocks of this container are segments: write each with write_segment")
        self._check_codes(codes)
        joined = np.concatenate([self._pending, codes], axis=2)
        whole = joined.shape[2] - joined.shape[2] % header.frames_per_block
        for start in range(0, whole, _TOGETHER * header.frames_per_block):
            together = joined[..., start : min(whole, start + _TOGETHER * header.frames_per_block)]
            self._put_codes(np.split(together, together.shape[2] // header.frames_per_block, axis=2))
        self._pending = joined[..., whole:].copy()

    def write_segment(self, codes: NDArray[np.int64], scales: NDArray[np.float32]) -> None:
        """Append the next segment: all its codes [S, K, frames], and its scales [S, 1].

        Raises:
            ValueError: They don't have the header's streams and stages, a value is out of range, or blocks are no
                segments.
        """
        header = self._opening.header
        if scales.shape != (header.scales_per_block, 1):
            raise ValueError(f"scales have shape {scales.shape}, but the header says {(header.scales_per_block, 1)}")
        if not (np.isfinite(scales) & (scales >= 0)).all():
            raise ValueError("scales must be finite and at least 0")
        self._check_codes(codes)
        if not 1 <= codes.shape[2] <= header.frames_per_block:
            raise ValueError(f"a segment of {codes.shape[2]} frames is not within 1 to {header.frames_per_block}")
        self._put_blocks([Block(codes, scales)])

    def close(self, *, num_samples: int, source_num_samples: int) -> None:
        """Write the last block and the footer. `num_samples` are at the codec's rate, per channel.

        Raises:
            ValueError: The totals don't fit the frames written; nothing was written now.
        """
        footer = Footer(num_samples, source_num_samples, ())
        header = footer.complete(self._opening.header)
        rest = self._pending.shape[2]
        counts = (self._num_blocks + (rest > 0), (*self._short, rest) if rest else tuple(self._short))
        valid = num_samples >= 1 and 1 <= source_num_samples < 1 << 64
        if not valid or counts != (header.num_blocks, header.short_blocks):
            raise ValueError(
                f"{self.num_frames} frames of {header.hop_length} samples were written: "
                f"they don't hold {num_samples} samples ({source_num_samples} of the source)"
            )
        if rest:
            self._put_codes([self._pending])
        self._put(write_footer(self._opening, dataclasses.replace(footer, offsets=tuple(self._offsets))))

    def _check_codes(self, codes: NDArray[np.int64]) -> None:
        header = self._opening.header
        shape = (header.num_streams, header.num_quantizers)
        if codes.ndim != 3 or codes.shape[:2] != shape:
            raise ValueError(f"codes have shape {codes.shape}, but the header says {(*shape, 'frames')}")
        if codes.size and (codes.min() < 0 or codes.max() >= header.codebook_size):
            raise ValueError(f"codes must be from 0 to {header.codebook_size - 1}")

    def _put_codes(self, parts: Sequence[NDArray[np.int64]]) -> None:
        self._put_blocks([Block(codes, np.empty((len(codes), 0), np.float32)) for codes in parts])

    def _put_blocks(self, blocks: Sequence[Block]) -> None:
        """Write blocks of as many frames each."""
        written = write_blocks(self._opening, blocks, self._num_blocks, self._coder)
        for block, data in zip(blocks, written, strict=True):
            frames = block.codes.shape[2]
            if self._num_blocks and self._num_blocks % INDEX_STEP == 0:
                self._offsets.append(self._num_bytes)
            if self._short or frames < self._opening.header.frames_per_block:
                self._short.append(frames)
            self._put(data)
            self._num_blocks += 1
            self._num_frames += frames

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._num_bytes += len(data)


def write_container(
    header: Header,
    codes: NDArray[np.int64],
    scales: NDArray[np.float32] | None = None,
    coder: BlockCoder | None = None,
    metadata: Metadata | None = None,
) -> bytes:
    """Return the container's bytes for `codes` [S, K, L] and, where blocks are segments, `scales` [S, N].

    `coder` is the one that the header names, if any, and `metadata` those whose bytes it counts.

    Raises:
        ValueError: They don't have the header's shape or length, or a value is out of range.
    """
    shape = (header.num_streams, header.num_quantizers, header.num_frames)
    if codes.shape != shape:
        raise ValueError(f"codes have shape {codes.shape}, but the header says {shape}")
    buffer = io.BytesIO()
    writer = ContainerWriter(buffer, header, coder, metadata)
    if header.overlap is None:
        writer.write(codes)
    else:
        _write_segments(writer, header, codes, scales)
    writer.close(num_samples=header.num_samples, source_num_samples=header.source_num_samples)
    return buffer.getvalue()


def container_bytes(header: Header) -> int:
    """Return the size of a container of packed codes with this header and its totals."""
    opening = parse_header(write_header(header))
    return opening.blocks_start + blocks_bytes(header)[1] + footer_bytes(header.num_blocks)


def _write_segments(
    writer: ContainerWriter, header: Header, codes: NDArray[np.int64], scales: NDArray[np.float32] | None
) -> None:
    shape = (header.num_streams, header.num_blocks)
    if scales is None or scales.shape != shape:
        raise ValueError(f"segments need scales of shape {shape}")
    start = 0
    for index in range(header.num_blocks):
        stop = start + header.block_frames(index)
        writer.write_segment(codes[..., start:stop], scales[:, index : index + 1])
        start = stop
