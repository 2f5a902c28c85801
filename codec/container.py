"""The bitstream container, version 1 (`.nac`): bytes in, codes out. docs/container.md is its standard.

    header   magic, version, coding, length, fixed fields, codec name, CRC-32C
    blocks   each: marker, index, payload length, CRC-32C, bit-packed codes of about a second

This module knows bytes and integers; codec/compress.py joins it to tensors. All numbers are little-endian. Nothing is
allocated from a number in the file before the file's own size has been shown to justify it.

Axes: codes [S, K, L] int64; S streams (1, or one per channel when a mono codec codes several), K stages, L frames.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from codec.bitpack import pack, packed_size, unpack
from codec.errors import BitstreamError

MAGIC = b"\x89NAC"
VERSION = 1
CODING_PACKED = 0
FINGERPRINT_BYTES = 8
MAX_NAME_BYTES = 64

_PREFIX = struct.Struct("<4sBBH")  # magic, version, coding, header length
_FIELDS = struct.Struct("<8sIIQQIHBBBBH")
_CRC = struct.Struct("<I")
_BLOCK = struct.Struct("<2sHII")  # marker, index modulo 2**16, payload length, CRC-32C
_MARKER = b"\xa5N"


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a container says of its content.

    `num_samples` counts samples per channel at `sample_rate`, the codec's rate; `source_num_samples` and
    `source_sample_rate` are those of the audio it was made from, to which decoding returns. `fingerprint` is the first
    8 bytes of the package's. `channels` is the audio's; a codec of fewer channels codes `num_streams` groups.
    """

    codec_name: str
    fingerprint: bytes
    sample_rate: int
    num_samples: int
    source_sample_rate: int
    source_num_samples: int
    channels: int
    num_streams: int
    num_quantizers: int
    codebook_size: int
    hop_length: int
    frames_per_block: int

    @property
    def num_frames(self) -> int:
        """Columns of codes, L."""
        return -(-self.num_samples // self.hop_length)

    @property
    def num_blocks(self) -> int:
        """Blocks of `frames_per_block` frames, the last one possibly shorter."""
        return -(-self.num_frames // self.frames_per_block)

    @property
    def bits_per_code(self) -> int:
        """Bits of one packed code."""
        return (self.codebook_size - 1).bit_length()

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.num_samples / self.sample_rate

    def block_frames(self, index: int) -> int:
        """Return how many frames block `index` holds."""
        return min(self.frames_per_block, self.num_frames - index * self.frames_per_block)

    def block_payload_bytes(self, index: int) -> int:
        """Return the size of block `index`'s packed codes."""
        return packed_size(self.block_frames(index) * self.num_streams * self.num_quantizers, self.bits_per_code)


@dataclass(frozen=True)
class Container:
    """A parsed container: its `header` and all its `codes` [S, K, L]."""

    header: Header
    codes: NDArray[np.int64]


def write_container(header: Header, codes: NDArray[np.int64]) -> bytes:
    """Return the container's bytes for `codes` [S, K, L].

    Raises:
        ValueError: The codes don't have the header's shape, or one is outside the codebook.
    """
    shape = (header.num_streams, header.num_quantizers, header.num_frames)
    if codes.shape != shape:
        raise ValueError(f"codes have shape {codes.shape}, but the header says {shape}")
    if codes.size and (codes.min() < 0 or codes.max() >= header.codebook_size):
        raise ValueError(f"codes must be from 0 to {header.codebook_size - 1}")
    return _write_header(header) + b"".join(_write_block(header, codes, i) for i in range(header.num_blocks))


def read_header(data: bytes) -> Header:
    """Parse the header at the start of `data`.

    Raises:
        BitstreamError: Not a container, of another version, cut short or damaged.
    """
    return _read_header(data)[0]


def read_container(data: bytes) -> Container:
    """Parse a whole container.

    Raises:
        BitstreamError: Not a container, of another version, cut short, damaged, or followed by other bytes.
    """
    header, offset = _read_header(data)
    _check_size(header, len(data) - offset)
    codes = np.empty((header.num_streams, header.num_quantizers, header.num_frames), np.int64)
    for index in range(header.num_blocks):
        end = offset + _BLOCK.size + header.block_payload_bytes(index)
        start = index * header.frames_per_block
        codes[..., start : start + header.block_frames(index)] = _read_block(header, data[offset:end], index)
        offset = end
    return Container(header, codes)


def _write_header(header: Header) -> bytes:
    name = header.codec_name.encode()
    fields = _FIELDS.pack(
        header.fingerprint,
        header.sample_rate,
        header.source_sample_rate,
        header.num_samples,
        header.source_num_samples,
        header.codebook_size,
        header.hop_length,
        header.channels,
        header.num_streams,
        header.num_quantizers,
        len(name),
        header.frames_per_block,
    )
    length = _PREFIX.size + len(fields) + len(name) + _CRC.size
    body = _PREFIX.pack(MAGIC, VERSION, CODING_PACKED, length) + fields + name
    return body + _CRC.pack(google_crc32c.value(body))


def _read_header(data: bytes) -> tuple[Header, int]:
    """Return the header and the offset at which blocks begin."""
    if data[:4] != MAGIC[: len(data[:4])] or not data:
        raise BitstreamError("not a Nacre container: it doesn't begin with the container's magic bytes")
    if len(data) < _PREFIX.size:
        raise BitstreamError("the container is cut short within its header")
    _, version, coding, length = _PREFIX.unpack_from(data)
    if version != VERSION:
        raise BitstreamError(f"container version {version} is unknown; this release reads version {VERSION}")
    if coding != CODING_PACKED:
        raise BitstreamError(f"coding {coding} is unknown; this release reads coding {CODING_PACKED}")
    smallest = _PREFIX.size + _FIELDS.size + _CRC.size
    if not smallest <= length <= smallest + MAX_NAME_BYTES:
        raise BitstreamError(f"the header claims {length} bytes, which no header has: the container is damaged")
    if len(data) < length:
        raise BitstreamError("the container is cut short within its header")
    body, (checksum,) = data[: length - _CRC.size], _CRC.unpack_from(data, length - _CRC.size)
    if google_crc32c.value(body) != checksum:
        raise BitstreamError("the header fails its checksum: the container is damaged")
    return _parse_fields(body), length


def _parse_fields(body: bytes) -> Header:
    """Parse a header whose checksum holds; what is still wrong was written wrong."""
    fields = _FIELDS.unpack_from(body, _PREFIX.size)
    (
        fingerprint,
        rate,
        source_rate,
        samples,
        source_samples,
        size,
        hop,
        channels,
        streams,
        stages,
        name_bytes,
        block,
    ) = fields
    name = body[_PREFIX.size + _FIELDS.size :]
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise BitstreamError("the header's codec name is not UTF-8") from None
    header = Header(
        codec_name=text,
        fingerprint=fingerprint,
        sample_rate=rate,
        num_samples=samples,
        source_sample_rate=source_rate,
        source_num_samples=source_samples,
        channels=channels,
        num_streams=streams,
        num_quantizers=stages,
        codebook_size=size,
        hop_length=hop,
        frames_per_block=block,
    )
    positive = (rate, source_rate, samples, source_samples, hop, channels, streams, stages, block)
    if len(name) != name_bytes or min(positive) < 1 or not 2 <= size <= 65536 or channels % streams:
        raise BitstreamError("the header's fields contradict each other: whoever wrote it has a fault")
    return header


def _check_size(header: Header, available: int) -> None:
    """Check that exactly as many bytes follow the header as its blocks take, in constant time and memory."""
    full = header.num_blocks - 1
    needed = full * (_BLOCK.size + header.block_payload_bytes(0)) if full else 0
    needed += _BLOCK.size + header.block_payload_bytes(full)
    if available < needed:
        raise BitstreamError(f"the container is cut short: {needed - available} of its bytes are missing")
    if available > needed:
        raise BitstreamError(f"the container is followed by {available - needed} bytes that don't belong to it")


def _write_block(header: Header, codes: NDArray[np.int64], index: int) -> bytes:
    start = index * header.frames_per_block
    chunk = codes[..., start : start + header.block_frames(index)]
    payload = pack(chunk.transpose(2, 0, 1).reshape(-1), header.bits_per_code)
    return _BLOCK.pack(_MARKER, index % 65536, len(payload), _block_checksum(index, payload)) + payload


def _read_block(header: Header, block: bytes, index: int) -> NDArray[np.int64]:
    """Return the codes [S, K, frames] of one block."""
    marker, number, length, checksum = _BLOCK.unpack_from(block)
    payload = block[_BLOCK.size :]
    frames = header.block_frames(index)
    where = f"block {index} ({_time_range(header, index)})"
    whole = marker == _MARKER and number == index % 65536 and length == len(payload)
    if not whole or checksum != _block_checksum(index, payload):
        raise BitstreamError(f"{where} fails its checksum: the container is damaged")
    count = frames * header.num_streams * header.num_quantizers
    values = unpack(payload, count, header.bits_per_code)
    if values.max() >= header.codebook_size:
        raise BitstreamError(f"{where} holds a code outside the codebook of {header.codebook_size}")
    return values.reshape(frames, header.num_streams, header.num_quantizers).transpose(1, 2, 0)


def _block_checksum(index: int, payload: bytes) -> int:
    """Return the CRC-32C of the block's full index, as 8 bytes, and its payload."""
    return int(google_crc32c.extend(google_crc32c.value(struct.pack("<Q", index)), payload))


def _time_range(header: Header, index: int) -> str:
    seconds = header.hop_length / header.sample_rate
    start = index * header.frames_per_block
    return f"{start * seconds:.2f} to {(start + header.block_frames(index)) * seconds:.2f} s"
