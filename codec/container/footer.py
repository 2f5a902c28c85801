"""The footer: the totals, known only at the end, and where every 16th block begins, for seeking.

It has no length field: the totals stand at a fixed distance from its end and decide how many offsets come before.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from dataclasses import dataclass

import google_crc32c

from codec.container.header import Header, Opening
from codec.errors import BitstreamError

FOOTER_MARKER = b"\xa5F"
END_MAGIC = b"CAN\x89"
INDEX_STEP = 16  # blocks from one offset of the index to the next

_OFFSET = struct.Struct("<Q")
_TAIL = struct.Struct("<QQI4s")  # samples, source samples, CRC-32C, end magic
_SEED = struct.Struct("<I")  # the header's checksum
_CUT = "the container is cut short, or followed by bytes that don't belong to it"


@dataclass(frozen=True)
class Footer:
    """The totals, and the offsets from the file's start of blocks 16, 32, 48 and so on."""

    num_samples: int
    source_num_samples: int
    offsets: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """The footer's size."""
        return len(FOOTER_MARKER) + len(self.offsets) * _OFFSET.size + _TAIL.size

    def complete(self, header: Header) -> Header:
        """Return `header` with the totals."""
        return dataclasses.replace(header, num_samples=self.num_samples, source_num_samples=self.source_num_samples)


def footer_bytes(num_blocks: int) -> int:
    """Return the size of the footer after `num_blocks` blocks."""
    return len(FOOTER_MARKER) + max(0, num_blocks - 1) // INDEX_STEP * _OFFSET.size + _TAIL.size


def write_footer(opening: Opening, footer: Footer) -> bytes:
    """Return the footer's bytes."""
    body = FOOTER_MARKER + b"".join(map(_OFFSET.pack, footer.offsets))
    tail = _TAIL.pack(footer.num_samples, footer.source_num_samples, 0, END_MAGIC)
    body += tail[:16]
    return body + _SEED.pack(_checksum(opening, body)) + END_MAGIC


def parse_footer(opening: Opening, data: bytes) -> Footer:
    """Parse `data`, which is the footer and nothing else.

    Raises:
        BitstreamError: It is damaged, or contradicts itself.
    """
    samples, source_samples, checksum, magic = _TAIL.unpack_from(data, len(data) - _TAIL.size)
    if not data.startswith(FOOTER_MARKER) or magic != END_MAGIC:
        raise BitstreamError(_CUT)
    if checksum != _checksum(opening, data[:-8]):
        raise BitstreamError("the footer fails its checksum: the container is damaged")
    offsets = tuple(offset for (offset,) in _OFFSET.iter_unpack(data[len(FOOTER_MARKER) : -_TAIL.size]))
    footer = Footer(samples, source_samples, offsets)
    if not (samples and source_samples) or len(data) != footer_bytes(footer.complete(opening.header).num_blocks):
        raise BitstreamError("the footer contradicts itself: whoever wrote it has a fault")
    return footer


def find_footer(opening: Opening, read_at: Callable[[int, int], bytes], end: int) -> tuple[Footer, int]:
    """Return the footer that ends at `end`, and where it begins; `read_at(start, stop)` returns bytes of the file.

    Raises:
        BitstreamError: There is none, or it is damaged.
    """
    tail_start = end - _TAIL.size
    if tail_start < opening.num_bytes:
        raise BitstreamError(_CUT)
    samples, source_samples, _, magic = _TAIL.unpack(read_at(tail_start, end))
    if magic != END_MAGIC:
        raise BitstreamError(_CUT)
    header = Footer(samples, source_samples, ()).complete(opening.header)
    start = end - footer_bytes(header.num_blocks)
    if start < opening.num_bytes:
        raise BitstreamError("the container is cut short: its footer counts more blocks than there is room for")
    return parse_footer(opening, read_at(start, end)), start


def _checksum(opening: Opening, body: bytes) -> int:
    return int(google_crc32c.extend(google_crc32c.value(_SEED.pack(opening.checksum)), body))
