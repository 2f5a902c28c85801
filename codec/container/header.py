"""The container's header: what made the codes, and their shape. It is complete before the first sample is coded."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import google_crc32c

from codec.bitpack import packed_size
from codec.errors import BitstreamError

MAGIC = b"\x89NAC"
VERSION = 1
FINGERPRINT_BYTES = 8
CODER_BYTES = 8
MAX_NAME_BYTES = 64
# Of the byte after the version: what the container makes use of.
ENTROPY_CODED = 0x01
# A block's length is 16 bits; a short block spends 2 bytes on its number of frames.
MAX_PACKED_BYTES = 65535 - 2

PREFIX = struct.Struct("<4sBBH")  # magic, version, features, header length
_FIELDS = struct.Struct("<8sIIIHBBBBH")
_CRC = struct.Struct("<I")
_SMALLEST = PREFIX.size + _FIELDS.size + _CRC.size
MAX_HEADER_BYTES = _SMALLEST + MAX_NAME_BYTES + CODER_BYTES


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a container says of its content.

    `num_samples` counts samples per channel at `sample_rate`, the codec's rate; `source_num_samples` and
    `source_sample_rate` are those of the audio it was made from, to which decoding returns. Both totals stand in the
    footer and are 0 while they are not known. `fingerprint` is the first 8 bytes of the package's. `channels` is the
    audio's; a codec of fewer channels codes `num_streams` groups. `coder` is the first 8 bytes of the entropy tables'
    fingerprint; without any the codes are packed.
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

    def num_codes(self, frames: int) -> int:
        """Return how many codes `frames` frames hold."""
        return frames * self.num_streams * self.num_quantizers

    def packed_bytes(self, frames: int) -> int:
        """Return the size of the packed codes of `frames` frames."""
        return packed_size(self.num_codes(frames), self.bits_per_code)

    def time_range(self, first: int, end: int) -> str:
        """Return the times of frames `first` up to, and without, `end`."""
        seconds = self.hop_length / self.sample_rate
        return f"{first * seconds:.2f} to {end * seconds:.2f} s"


@dataclass(frozen=True)
class Opening:
    """A header as it stands in a file: it takes `num_bytes`, and its `checksum` goes into every other one."""

    header: Header
    num_bytes: int
    checksum: int


def write_header(header: Header) -> bytes:
    """Return the header's bytes; its totals are not among them.

    Raises:
        ValueError: A field doesn't fit, or the fields contradict each other.
    """
    name = header.codec_name.encode()
    length = _SMALLEST + len(name) + len(header.coder)
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
    except struct.error as error:
        raise ValueError(f"a field of the header is out of range ({error})") from None
    if length > MAX_HEADER_BYTES or len(header.fingerprint) != FINGERPRINT_BYTES or not _agrees(header):
        raise ValueError("the header's fields contradict each other")
    features = ENTROPY_CODED if header.coder else 0
    body = PREFIX.pack(MAGIC, VERSION, features, length) + fields + name + header.coder
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
    if features & ~ENTROPY_CODED:
        raise BitstreamError(f"the container's features {features:#04x} are unknown to this release: use a newer one")
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
    fields = _FIELDS.unpack_from(body, PREFIX.size)
    fingerprint, rate, source_rate, size, hop, channels, streams, stages, name_bytes, block = fields
    name, coder = _split_names(body)
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise BitstreamError("the header's codec name is not UTF-8") from None
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
    )
    if len(name) != name_bytes or not _agrees(header):
        raise BitstreamError("the header's fields contradict each other: whoever wrote it has a fault")
    return header


def _split_names(body: bytes) -> tuple[bytes, bytes]:
    """Return the codec's name and the coder that the end of a header's body holds."""
    rest = body[PREFIX.size + _FIELDS.size :]
    if not PREFIX.unpack_from(body)[2] & ENTROPY_CODED:
        return rest, b""
    return rest[:-CODER_BYTES], rest[-CODER_BYTES:]


def _agrees(header: Header) -> bool:
    rates = (header.sample_rate, header.source_sample_rate, header.hop_length)
    counts = (header.channels, header.num_streams, header.num_quantizers, header.frames_per_block)
    return (
        min(rates + counts) >= 1
        and 2 <= header.codebook_size <= 65536
        and header.channels % header.num_streams == 0
        and len(header.coder) in (0, CODER_BYTES)
        and header.packed_bytes(header.frames_per_block) <= MAX_PACKED_BYTES
    )
