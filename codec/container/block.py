"""One block: the codes of about a second or of a segment, with its scales; it needs no other block to be unpacked.

Its checksum covers the header's checksum and the block's full index too, so a block from another container, or from
another place of the same one, fails it.

Axes: codes [S, K, frames]; scales [S, 1], or [S, 0] where blocks are not segments.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from codec.bitpack import pack, unpack
from codec.container.header import MAX_BLOCK_BYTES, SCALE_BYTES, Header, Opening
from codec.errors import BitstreamError

BLOCK_MARKER = b"\xa5N"
BLOCK_HEADER = struct.Struct("<2sHBHI")  # marker, index modulo 2**16, flags, payload length, CRC-32C
INDEX_MODULUS = 1 << 16
SHORT = 0x01  # the payload begins with the number of frames: the last block, when it isn't full

_FRAMES = struct.Struct("<H")
_SCALE = np.dtype("<f4")
_SEED = struct.Struct("<IQB")  # the header's checksum, the full index, the flags


@dataclass(frozen=True)
class Block:
    """What a block holds: `codes` [S, K, frames], and of a segment `scales` [S, 1] (else [S, 0])."""

    codes: NDArray[np.int64]
    scales: NDArray[np.float32]


@dataclass(frozen=True)
class BlockHeader:
    """The 11 bytes before a block's payload."""

    number: int
    flags: int
    length: int
    checksum: int


def fit_block(
    frames: int, num_streams: int, num_quantizers: int, codebook_size: int, *, segmented: bool = False
) -> int:
    """Return `frames`, or the most frames below it whose packed codes fit into one block, beside a segment's scales."""
    bits = num_streams * num_quantizers * (codebook_size - 1).bit_length()
    room = MAX_BLOCK_BYTES - (SCALE_BYTES * num_streams if segmented else 0)
    return max(1, min(frames, 65535, room * 8 // bits))


def block_bytes(header: Header, frames: int) -> int:
    """Return the size of a whole block of `frames` frames."""
    return BLOCK_HEADER.size + _payload_bytes(header, frames)


def blocks_bytes(header: Header) -> int:
    """Return the size of all blocks of a header whose totals are known, in constant time."""
    short = header.short_blocks
    full = (header.num_blocks - len(short)) * block_bytes(header, header.frames_per_block)
    return full + sum(block_bytes(header, frames) for frames in short)


def write_block(opening: Opening, block: Block, index: int) -> bytes:
    """Return block `index`; codes and scales were checked before."""
    header, frames = opening.header, block.codes.shape[2]
    flags = 0 if frames == header.frames_per_block else SHORT
    payload = _FRAMES.pack(frames) if flags & SHORT else b""
    payload += block.scales.astype(_SCALE).tobytes()
    payload += pack(block.codes.transpose(2, 0, 1).reshape(-1), header.bits_per_code)
    checksum = _checksum(opening, index, flags, payload)
    return BLOCK_HEADER.pack(BLOCK_MARKER, index % INDEX_MODULUS, flags, len(payload), checksum) + payload


def parse_block_header(data: bytes) -> BlockHeader | None:
    """Parse 11 bytes; None if they are fewer or don't begin with the marker."""
    if len(data) < BLOCK_HEADER.size or not data.startswith(BLOCK_MARKER):
        return None
    return BlockHeader(*BLOCK_HEADER.unpack_from(data)[1:])


def read_block(opening: Opening, block: BlockHeader, payload: bytes, index: int) -> Block:
    """Return what block `index` holds.

    Raises:
        BitstreamError: It is not that block, is damaged, or was written wrong.
    """
    header = opening.header
    where = describe_block(header, index)
    matches = block.number == index % INDEX_MODULUS and block.length == len(payload)
    if not matches or block.checksum != _checksum(opening, index, block.flags, payload):
        raise BitstreamError(f"{where} fails its checksum: the container is damaged")
    frames, content = header.frames_per_block, payload
    if block.flags & SHORT and len(payload) >= _FRAMES.size:
        (frames,), content = _FRAMES.unpack_from(payload), payload[_FRAMES.size :]
    short = bool(block.flags & SHORT)
    room = SCALE_BYTES * header.scales_per_block
    if block.flags & ~SHORT or short != (frames < header.frames_per_block) or not frames or len(content) < room:
        raise BitstreamError(f"{where} contradicts its header: whoever wrote it has a fault")
    scales = np.frombuffer(content[:room], _SCALE).astype(np.float32).reshape(header.num_streams, -1)
    if not (np.isfinite(scales) & (scales >= 0)).all():
        raise BitstreamError(f"{where} holds a scale that is negative or not finite")
    values = unpack(content[room:], frames * header.num_streams * header.num_quantizers, header.bits_per_code)
    if values.max() >= header.codebook_size:
        raise BitstreamError(f"{where} holds a code outside the codebook of {header.codebook_size}")
    return Block(values.reshape(frames, header.num_streams, header.num_quantizers).transpose(1, 2, 0), scales)


def describe_block(header: Header, index: int) -> str:
    """Name a block with its time range, which the totals limit if they are known."""
    start, stop = header.block_range(index)
    return f"block {index} ({start / header.sample_rate:.2f} to {stop / header.sample_rate:.2f} s)"


def _payload_bytes(header: Header, frames: int) -> int:
    short = _FRAMES.size if frames < header.frames_per_block else 0
    return short + SCALE_BYTES * header.scales_per_block + header.packed_bytes(frames)


def _checksum(opening: Opening, index: int, flags: int, payload: bytes) -> int:
    seed = google_crc32c.value(_SEED.pack(opening.checksum, index, flags))
    return int(google_crc32c.extend(seed, payload))
