"""The metadata's section, between the header and the first block: the text, and its checksum.

The header says how long it is, so that whoever doesn't want it steps over it, and damage in it costs no audio. Its
checksum covers the header's, so that metadata out of another container fail it.
"""

from __future__ import annotations

import struct

import google_crc32c

from codec.container.header import Opening
from codec.errors import BitstreamError
from codec.metadata import Metadata

_CRC = struct.Struct("<I")


def write_section(opening: Opening, text: bytes) -> bytes:
    """Return the section's bytes: none of a header without metadata.

    Raises:
        ValueError: The header says another length.
    """
    if len(text) != opening.header.metadata_bytes:
        raise ValueError(f"the metadata take {len(text)} bytes, but the header says {opening.header.metadata_bytes}")
    return text + _CRC.pack(_checksum(opening, text)) if text else b""


def parse_section(opening: Opening, data: bytes) -> Metadata | None:
    """Parse what stands from the header's end to the first block; None of a header without metadata.

    Raises:
        BitstreamError: They are cut short, damaged, or were written wrong.
    """
    if not opening.header.metadata_bytes:
        return None
    if len(data) < opening.blocks_start - opening.num_bytes:
        raise BitstreamError("the container is cut short within its metadata")
    text, (checksum,) = data[: -_CRC.size], _CRC.unpack(data[-_CRC.size :])
    if checksum != _checksum(opening, text):
        raise BitstreamError("the metadata fail their checksum: the container is damaged, its audio perhaps not")
    return Metadata.from_json(text)


def _checksum(opening: Opening, text: bytes) -> int:
    return int(google_crc32c.extend(google_crc32c.value(_CRC.pack(opening.checksum)), text))
