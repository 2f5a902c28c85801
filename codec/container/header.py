"""The container's header: what made the codes, and their shape. It is complete before the first sample is coded."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import google_crc32c

from codec.bitpack import packed_size
from codec.errors import BitstreamError
from codec.metadata import MAX_METADATA_BYTES
from codec.segmentation import Segmentation

MAGIC = b"\x89NAC"
VERSION = 1
# Feature bits.
ENTROPY_CODED = 0x01
SEGMENTED = 0x02
DESCRIBED = 0x04
KNOWN_FEATURES = ENTROPY_CODED | SEGMENTED | DESCRIBED
FINGERPRINT_BYTES = 8
MAX_NAME_BYTES = 64
# A block's length is 16 bits; a short block spends 2 bytes on its number of frames.
MAX_BLOCK_BYTES = 65535 - 2
SCALE_BYTES = 4

PREFIX = struct.Struct("<4sBBH")  # magic, version, features, header length
_FIELDS = struct.Struct("<8sIIIHBBBBH")
_CODER = struct.Struct("<8s")  # after the name, in an entropy-coded container
_OVERLAP = struct.Struct("<I")  # after that, in a segmented one
_METADATA = struct.Struct("<I")  # after that, in one with metadata: their length
_CRC = struct.Struct("<I")
_SMALLEST = PREFIX.size + _FIELDS.size + _CRC.size
MAX_HEADER_BYTES = _SMALLEST + MAX_NAME_BYTES + _CODER.size + _OVERLAP.size + _METADATA.size
_CONTRADICTION = "the header's fields contradict each other: whoever wrote it has a fault"


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a container says of its content.

    `num_samples` counts samples per channel at `sample_rate`, the codec's rate; `source_num_samples` and
    `source_sample_rate` are those of the audio it was made from, to which decoding returns. Both totals stand in the
    footer and are 0 while they are not known. `fingerprint` is the first 8 bytes of the package's. `channels` is the
    audio's; a codec of fewer channels codes `num_streams` groups. `coder` is the first 8 bytes of the entropy tables'
    fingerprint; without any, the codes are packed.

    Where blocks are segments, which were coded on their own, each begins `overlap` samples before the end of the one
    before it; None where they are not, and the frames of one block go on in the next.

    `metadata_bytes` is the length of the metadata's text, which stands between the header and the first block; 0
    without any.
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
    coder: bytes = b""
    overlap: int | None = None
    metadata_bytes: int = 0

    @property
    def segmentation(self) -> Segmentation:
        """How blocks lie in time: end to end if they are not segments."""
        return Segmentation(length=self.frames_per_block * self.hop_length, overlap=self.overlap or 0)

    @property
    def num_frames(self) -> int:
        """Columns of codes, L."""
        return self.segmentation.num_frames(self.num_samples, self.hop_length)

    @property
    def num_blocks(self) -> int:
        """Blocks of `frames_per_block` frames, the last one or two possibly shorter."""
        return self.segmentation.count(self.num_samples)

    @property
    def short_blocks(self) -> tuple[int, ...]:
        """The frames of each block that holds fewer than `frames_per_block`; these are the last ones."""
        tail = range(self.segmentation.num_whole(self.num_samples), self.num_blocks)
        frames = (self.block_frames(index) for index in tail)
        return tuple(count for count in frames if count < self.frames_per_block)

    @property
    def scales_per_block(self) -> int:
        """Scales that each block carries: one a stream if it is a segment."""
        return 0 if self.overlap is None else self.num_streams

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
        return self.segmentation.frames(index, self.num_samples, self.hop_length)

    def first_frame(self, index: int) -> int:
        """Return where the frames of block `index` begin among all frames, those of the blocks before it."""
        if index < self.num_blocks - 1:
            return index * self.frames_per_block
        return self.num_frames - self.block_frames(index)

    def block_range(self, index: int) -> tuple[int, int]:
        """Return the samples, in whole hops, from which and to which block `index` reaches; full beyond the totals."""
        start = index * self.segmentation.stride
        frames = self.block_frames(index) if index < self.num_blocks else self.frames_per_block
        return start, start + frames * self.hop_length

    def num_codes(self, frames: int) -> int:
        """Return how many codes `frames` frames hold."""
        return frames * self.num_streams * self.num_quantizers

    def packed_bytes(self, frames: int) -> int:
        """Return the size of the packed codes of `frames` frames."""
        return packed_size(self.num_codes(frames), self.bits_per_code)


@dataclass(frozen=True)
class Opening:
    """A header as it stands in a file: it takes `num_bytes`, and its `checksum` goes into every other one."""

    header: Header
    num_bytes: int
    checksum: int

    @property
    def blocks_start(self) -> int:
        """Where the first block begins: after the header, and the metadata with their checksum if there are any."""
        length = self.header.metadata_bytes
        return self.num_bytes + (length + _CRC.size if length else 0)


def write_header(header: Header) -> bytes:
    """Return the header's bytes; its totals are not among them.

    Raises:
        ValueError: A field doesn't fit, or the fields contradict each other.
    """
    name = header.codec_name.encode()
    features = (ENTROPY_CODED if header.coder else 0) | (0 if header.overlap is None else SEGMENTED)
    features |= DESCRIBED if header.metadata_bytes else 0
    try:
        fields = _FIELDS.pack(
            header.fingerprint,
            header.sample_rate,
            header.source_sample_rate,
            header.codebook_size,
            header.hop_length,
            header.channels,
            header.num_streams,
            header.num_quantizers,
            len(name),
            header.frames_per_block,
        )
        extension = header.coder + (b"" if header.overlap is None else _OVERLAP.pack(header.overlap))
        extension += _METADATA.pack(header.metadata_bytes) if header.metadata_bytes else b""
    except struct.error as error:
        raise ValueError(f"a field of the header is out of range ({error})") from None
    if len(header.fingerprint) != FINGERPRINT_BYTES or not _agrees(header):
        raise ValueError("the header's fields contradict each other")
    length = _SMALLEST + len(name) + len(extension)
    body = PREFIX.pack(MAGIC, VERSION, features, length) + fields + name + extension
    return body + _CRC.pack(google_crc32c.value(body))


def header_length(prefix: bytes) -> int:
    """Return the length that a header's first 8 bytes claim.

    Raises:
        BitstreamError: Not a container, of another version, with unknown features, or cut short.
    """
    if not prefix or prefix[:4] != MAGIC[: len(prefix[:4])]:
        raise BitstreamError("not a Nacre container: it doesn't begin with the container's magic bytes")
    if len(prefix) < PREFIX.size:
        raise BitstreamError("the container is cut short within its header")
    _, version, features, length = PREFIX.unpack_from(prefix)
    if version != VERSION:
        raise BitstreamError(f"container version {version} is unknown; this release reads version {VERSION}")
    if unknown := features & ~KNOWN_FEATURES:
        raise BitstreamError(f"the container has features that this release doesn't know (bits {unknown:#04x})")
    if not _SMALLEST <= length <= MAX_HEADER_BYTES:
        raise BitstreamError(f"the header claims {length} bytes, which no header has: the container is damaged")
    return int(length)


def parse_header(data: bytes) -> Opening:
    """Parse the header at the start of `data`; its totals are 0.

    Raises:
        BitstreamError: Not a container, of another version, cut short or damaged.
    """
    length = header_length(data[: PREFIX.size])
    if len(data) < length:
        raise BitstreamError("the container is cut short within its header")
    body, (checksum,) = data[: length - _CRC.size], _CRC.unpack_from(data, length - _CRC.size)
    if google_crc32c.value(body) != checksum:
        raise BitstreamError("the header fails its checksum: the container is damaged")
    return Opening(_parse_fields(body), length, checksum)


def _parse_fields(body: bytes) -> Header:
    """Parse a header whose checksum holds; what is still wrong was written wrong."""
    _, _, features, _ = PREFIX.unpack_from(body)
    fields = _FIELDS.unpack_from(body, PREFIX.size)
    fingerprint, rate, source_rate, size, hop, channels, streams, stages, name_bytes, block = fields
    start = PREFIX.size + _FIELDS.size
    name, extension = body[start : start + name_bytes], body[start + name_bytes :]
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise BitstreamError("the header's codec name is not UTF-8") from None
    if len(name) != name_bytes:
        raise BitstreamError(_CONTRADICTION)
    coder, overlap, metadata_bytes = _parse_extension(extension, features)
    header = Header(
        codec_name=text,
        fingerprint=fingerprint,
        sample_rate=rate,
        num_samples=0,
        source_sample_rate=source_rate,
        source_num_samples=0,
        channels=channels,
        num_streams=streams,
        num_quantizers=stages,
        codebook_size=size,
        hop_length=hop,
        frames_per_block=block,
        coder=coder,
        overlap=overlap,
        metadata_bytes=metadata_bytes,
    )
    if not _agrees(header):
        raise BitstreamError(_CONTRADICTION)
    return header


def _parse_extension(extension: bytes, features: int) -> tuple[bytes, int | None, int]:
    """Parse what the features add: the coder, the overlap of segments, and the length of the metadata."""
    present = {_CODER: features & ENTROPY_CODED, _OVERLAP: features & SEGMENTED, _METADATA: features & DESCRIBED}
    if len(extension) != sum(field.size for field, there in present.items() if there):
        raise BitstreamError(_CONTRADICTION)
    values, start = [], 0
    for field, there in present.items():
        values.append(field.unpack_from(extension, start)[0] if there else None)
        start += field.size if there else 0
    coder, overlap, metadata_bytes = values
    if metadata_bytes == 0:
        raise BitstreamError(_CONTRADICTION)
    return coder or b"", overlap, metadata_bytes or 0


def _agrees(header: Header) -> bool:
    rates = (header.sample_rate, header.source_sample_rate, header.hop_length)
    counts = (header.channels, header.num_streams, header.num_quantizers, header.frames_per_block)
    block_bytes = SCALE_BYTES * header.scales_per_block + header.packed_bytes(header.frames_per_block)
    return (
        min(rates + counts) >= 1
        and 2 <= header.codebook_size <= 65536
        and header.channels % header.num_streams == 0
        and len(header.codec_name.encode()) <= MAX_NAME_BYTES
        and block_bytes <= MAX_BLOCK_BYTES
        and len(header.coder) in (0, _CODER.size)
        and 2 * (header.overlap or 0) <= header.frames_per_block * header.hop_length
        and header.metadata_bytes <= MAX_METADATA_BYTES
    )
