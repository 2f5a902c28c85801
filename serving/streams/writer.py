"""A container's bytes as they become certain.

A container is entropy-coded unless it is smaller with packed codes (codec/compress.py). No block is larger when it is
entropy-coded, and the header is, by a few bytes; so both are written until those are made up for, which the first block
of audio does, and whichever is smaller at the end if nothing does.
"""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from numpy.typing import NDArray

from codec.container import ContainerWriter, Header
from codec.container.coder import BlockCoder


class StreamWriter:
    """Writes a container with this header; one that names a coder may come to be packed, unless `decided`.

    Axes: codes [S, K, frames]; scales [S, 1] of a segment.
    """

    def __init__(self, header: Header, coder: BlockCoder | None, *, decided: bool = False) -> None:
        headers = [header]
        if header.coder and not decided:
            headers.append(dataclasses.replace(header, coder=b""))
        self._buffers = [io.BytesIO() for _ in headers]
        self._writers = [
            ContainerWriter(buffer, header, coder) for buffer, header in zip(self._buffers, headers, strict=True)
        ]

    def write(self, codes: NDArray[np.int64]) -> None:
        """Append frames."""
        for writer in self._writers:
            writer.write(codes)

    def write_segment(self, codes: NDArray[np.int64], scales: NDArray[np.float32]) -> None:
        """Append a segment."""
        for writer in self._writers:
            writer.write_segment(codes, scales)

    def close(self, *, num_samples: int, source_num_samples: int) -> None:
        """Write the totals."""
        for writer in self._writers:
            writer.close(num_samples=num_samples, source_num_samples=source_num_samples)
        if len(self._writers) > 1:
            self._keep(0 if self._writers[0].num_bytes <= self._writers[1].num_bytes else 1)

    def take(self) -> bytes:
        """Return the bytes that have become certain since the last call."""
        if len(self._writers) > 1 and self._writers[0].num_bytes <= self._writers[1].num_bytes:
            self._keep(0)
        if len(self._writers) > 1:
            return b""
        data = self._buffers[0].getvalue()
        self._buffers[0].seek(0)
        self._buffers[0].truncate()
        return data

    def _keep(self, choice: int) -> None:
        self._buffers, self._writers = [self._buffers[choice]], [self._writers[choice]]
