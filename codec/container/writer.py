"""Writing a container: header, blocks as their frames arrive, footer. It never seeks, so it can write to a pipe.

Axes: codes [S, K, frames].
"""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from codec.container.block import write_block
from codec.container.coder import BlockCoder, require_coder
from codec.container.footer import INDEX_STEP, Footer, write_footer
from codec.container.header import Header, parse_header, write_header


class ContainerWriter:
    """Writes one container to `file`, which it leaves open.

    The totals in `header` are not used: `close` is told them. The bytes don't depend on how the frames are divided
    over calls of `write`. A header that names a coder needs that coder. Without `close` the container is cut short, and
    readers say so.
    """

    def __init__(self, file: BinaryIO, header: Header, coder: BlockCoder | None = None) -> None:
        self._file = file
        self._coder = require_coder(header, coder) if header.coder else None
        data = write_header(header)
        self._opening = parse_header(data)
        self._pending = np.empty((header.num_streams, header.num_quantizers, 0), np.int64)
        self._num_blocks = 0
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
        return self._num_blocks * self._opening.header.frames_per_block + self._pending.shape[2]

    def write(self, codes: NDArray[np.int64]) -> None:
        """Append codes [S, K, frames]; every block that they complete is written.

        Raises:
            ValueError: The codes don't have the header's streams and stages, or one is outside the codebook.
        """
        header = self._opening.header
        shape = (header.num_streams, header.num_quantizers)
        if codes.ndim != 3 or codes.shape[:2] != shape:
            raise ValueError(f"codes have shape {codes.shape}, but the header says {(*shape, 'frames')}")
        if codes.size and (codes.min() < 0 or codes.max() >= header.codebook_size):
            raise ValueError(f"codes must be from 0 to {header.codebook_size - 1}")
        joined = np.concatenate([self._pending, codes], axis=2)
        whole = joined.shape[2] - joined.shape[2] % header.frames_per_block
        for start in range(0, whole, header.frames_per_block):
            self._put_block(joined[..., start : start + header.frames_per_block])
        self._pending = joined[..., whole:].copy()

    def close(self, *, num_samples: int, source_num_samples: int) -> None:
        """Write the last block and the footer. `num_samples` are at the codec's rate, per channel.

        Raises:
            ValueError: The totals don't fit the frames written; nothing was written now.
        """
        header = self._opening.header
        valid = num_samples >= 1 and 1 <= source_num_samples < 1 << 64
        if not valid or -(-num_samples // header.hop_length) != self.num_frames:
            raise ValueError(
                f"{self.num_frames} frames of {header.hop_length} samples were written: "
                f"they don't hold {num_samples} samples ({source_num_samples} of the source)"
            )
        if self._pending.shape[2]:
            self._put_block(self._pending)
        self._put(write_footer(self._opening, Footer(num_samples, source_num_samples, tuple(self._offsets))))

    def _put_block(self, codes: NDArray[np.int64]) -> None:
        if self._num_blocks and self._num_blocks % INDEX_STEP == 0:
            self._offsets.append(self._num_bytes)
        self._put(write_block(self._opening, codes, self._num_blocks, self._coder))
        self._num_blocks += 1

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self._num_bytes += len(data)


def write_container(header: Header, codes: NDArray[np.int64], coder: BlockCoder | None = None) -> bytes:
    """Return the container's bytes for `codes` [S, K, L]; `coder` is the one that the header names, if any.

    Raises:
        ValueError: The codes don't have the header's shape, or one is outside the codebook.
    """
    shape = (header.num_streams, header.num_quantizers, header.num_frames)
    if codes.shape != shape:
        raise ValueError(f"codes have shape {codes.shape}, but the header says {shape}")
    buffer = io.BytesIO()
    writer = ContainerWriter(buffer, header, coder)
    writer.write(codes)
    writer.close(num_samples=header.num_samples, source_num_samples=header.source_num_samples)
    return buffer.getvalue()
