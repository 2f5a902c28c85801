"""One block: the codes of about a second or of a segment, with its scales; it needs no other block to be unpacked.

Its checksum covers the header's checksum and the block's full index too, so a block from another container, or from
another place of the same one, fails it.

Axes: codes [S, K, frames]; scales [S, 1], or [S, 0] where blocks are not segments.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from codec.bitpack import pack, unpack
from codec.container.coder import BlockCoder, require_coder
from codec.container.header import MAX_BLOCK_BYTES, SCALE_BYTES, Header, Opening
from codec.errors import BitstreamError

BLOCK_MARKER = b"\xa5N"
BLOCK_HEADER = struct.Struct("<2sHBHI")  # marker, index modulo 2**16, flags, payload length, CRC-32C
INDEX_MODULUS = 1 << 16
SHORT = 0x01  # the payload begins with the number of frames: the last block, when it isn't full
PACKED = 0x02  # packed within an entropy-coded container, because that is smaller
MAX_CODES_PER_BYTE = 256  # of an entropy-coded block: what a reader allocates on the word of a byte

_FRAMES = struct.Struct("<H")
_SCALE = np.dtype("<f4")
_SEED = struct.Struct("<IQB")  # the header's checksum, the full index, the flags


@dataclass(frozen=True)
class Block:
    """What a block holds: `codes` [S, K, frames], and of a segment `scales` [S, 1] (else [S, 0])."""

    codes: NDArray[np.int64]
    scales: NDArray[np.float32]


@dataclass(frozen=True)
class CheckedBlock:
    """A block whose checksum holds: `frames` frames, the scales of a segment, and the codes still in `data`."""

    index: int
    frames: int
    scales: NDArray[np.float32]
    packed: bool
    data: bytes


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
    """Return the size of a block of `frames` packed frames; entropy coding makes it smaller, never larger."""
    short = _FRAMES.size if frames < header.frames_per_block else 0
    return BLOCK_HEADER.size + short + SCALE_BYTES * header.scales_per_block + header.packed_bytes(frames)


def blocks_bytes(header: Header) -> tuple[int, int]:
    """Return the least and the most bytes that all blocks of a header with totals take, in constant time."""
    short = header.short_blocks
    most = (header.num_blocks - len(short)) * block_bytes(header, header.frames_per_block)
    most += sum(block_bytes(header, frames) for frames in short)
    return header.num_blocks * (BLOCK_HEADER.size + 1) if header.coder else most, most


def write_blocks(
    opening: Opening, blocks: Sequence[Block], index: int, coder: BlockCoder | None = None
) -> Iterator[bytes]:
    """Yield blocks of as many frames each, from `index` on; they were checked before, the coder is the header's."""
    messages: Sequence[bytes | None] = [None] * len(blocks)
    if coder is not None and blocks:
        messages = coder.encode(np.stack([block.codes for block in blocks]))
    for number, (block, message) in enumerate(zip(blocks, messages, strict=True), start=index):
        yield _write_block(opening, block, number, message)


def parse_block_header(data: bytes) -> BlockHeader | None:
    """Parse 11 bytes; None if they are fewer or don't begin with the marker."""
    if len(data) < BLOCK_HEADER.size or not data.startswith(BLOCK_MARKER):
        return None
    return BlockHeader(*BLOCK_HEADER.unpack_from(data)[1:])


def check_block(opening: Opening, block: BlockHeader, payload: bytes, index: int) -> CheckedBlock:
    """Return block `index`, its codes not yet unpacked.

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
    room = SCALE_BYTES * header.scales_per_block
    if _contradicts(header, block.flags, frames, len(content) - room):
        raise BitstreamError(f"{where} contradicts its header: whoever wrote it has a fault")
    scales = np.frombuffer(content[:room], _SCALE).astype(np.float32).reshape(header.num_streams, -1)
    if not (np.isfinite(scales) & (scales >= 0)).all():
        raise BitstreamError(f"{where} holds a scale that is negative or not finite")
    return CheckedBlock(index, frames, scales, _is_packed(header, block.flags), content[room:])


def read_blocks(header: Header, blocks: Sequence[CheckedBlock], coder: BlockCoder | None) -> list[Block]:
    """Return what each block holds; entropy-coded ones go side by side, which is fastest.

    Raises:
        BitstreamError: A block was written wrong.
        ModelMismatchError: They were coded by other tables than the coder's.
    """
    coded = [block for block in blocks if not block.packed]
    codes = {block.index: _unpack(header, block) for block in blocks if block.packed}
    if coded:
        parts = _decode(header, coded, require_coder(header, coder))
        codes |= {block.index: part for block, part in zip(coded, parts, strict=True)}
    return [Block(codes[block.index], block.scales) for block in blocks]


def _write_block(opening: Opening, block: Block, index: int, message: bytes | None) -> bytes:
    """Return a block of what is smaller, its message, of an entropy-coded container, or packed codes."""
    header, frames = opening.header, block.codes.shape[2]
    flags = 0 if frames == header.frames_per_block else SHORT
    if message is not None and not _pays(message, block.codes.size, header.packed_bytes(frames)):
        message, flags = None, flags | PACKED
    data = pack(block.codes.transpose(2, 0, 1).reshape(-1), header.bits_per_code) if message is None else message
    payload = _FRAMES.pack(frames) if flags & SHORT else b""
    payload += block.scales.astype(_SCALE).tobytes() + data
    checksum = _checksum(opening, index, flags, payload)
    return BLOCK_HEADER.pack(BLOCK_MARKER, index % INDEX_MODULUS, flags, len(payload), checksum) + payload


def _pays(message: bytes, num_codes: int, packed_bytes: int) -> bool:
    """Tell whether a message is smaller than packed codes, and readers allocate what its codes take."""
    return len(message) < packed_bytes and num_codes <= MAX_CODES_PER_BYTE * len(message)


def _is_packed(header: Header, flags: int) -> bool:
    return not header.coder or bool(flags & PACKED)


def _contradicts(header: Header, flags: int, frames: int, num_bytes: int) -> bool:
    """Tell whether a block of those flags can't hold so many frames, their codes in so many bytes."""
    known = SHORT | (PACKED if header.coder else 0)
    if flags & ~known or bool(flags & SHORT) != (frames < header.frames_per_block) or not frames:
        return True
    most = least = header.packed_bytes(frames)
    if not _is_packed(header, flags):
        least = -(-header.num_codes(frames) // MAX_CODES_PER_BYTE)
    return not least <= num_bytes <= most


def _decode(header: Header, blocks: list[CheckedBlock], coder: BlockCoder) -> list[NDArray[np.int64]]:
    """Return the codes [S, K, frames] of each entropy-coded block."""
    messages, frames = [block.data for block in blocks], [block.frames for block in blocks]
    try:
        return coder.decode(messages, header.num_streams, header.num_quantizers, frames)
    except BitstreamError:
        if len(blocks) > 1:
            for block in blocks:
                _decode(header, [block], coder)
        where = describe_block(header, blocks[0].index)
        raise BitstreamError(f"{where} can't be decoded: whoever wrote it has a fault") from None


def _unpack(header: Header, block: CheckedBlock) -> NDArray[np.int64]:
    """Return the codes [S, K, frames] of a packed block."""
    values = unpack(block.data, header.num_codes(block.frames), header.bits_per_code)
    if values.max() >= header.codebook_size:
        where = describe_block(header, block.index)
        raise BitstreamError(f"{where} holds a code outside the codebook of {header.codebook_size}")
    return values.reshape(block.frames, header.num_streams, header.num_quantizers).transpose(1, 2, 0)


def describe_block(header: Header, index: int) -> str:
    """Name a block with its time range, which the totals limit if they are known."""
    start, stop = header.block_range(index)
    return f"block {index} ({start / header.sample_rate:.2f} to {stop / header.sample_rate:.2f} s)"


def _checksum(opening: Opening, index: int, flags: int, payload: bytes) -> int:
    seed = google_crc32c.value(_SEED.pack(opening.checksum, index, flags))
    return int(google_crc32c.extend(seed, payload))
