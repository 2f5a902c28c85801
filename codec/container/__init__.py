"""The bitstream container, version 1 (`.nac`): bytes in, codes out. docs/container.md is its standard.

    header   what made it, and how: magic, version, features, fixed fields, codec name, CRC-32C    header.py
    metadata only if there are any: tags and facts of the source as JSON, CRC-32C                  section.py
    blocks   each alone decodable: marker, index, flags, length, CRC-32C, codes of about a second  block.py
    footer   totals, and where every 16th block lies: offsets, lengths, CRC-32C, end magic         footer.py

Writing needs no total beforehand (writer.py) and reading no seeking (stream.py), so both work in pipes; a file can be
entered anywhere (reader.py), and what is undamaged in a damaged one is recovered (scan.py, recovery.py).

This package knows bytes and integers; codec/compress.py joins it to tensors. All numbers are little-endian. Nothing is
allocated from a number in the file before the file's own size has been shown to justify it.

Where the codec codes in segments, a block is one of them; it carries their scales and overlaps its neighbours.

Axes: codes [S, K, L] int64; S streams (1, or one per channel when a mono codec codes several), K stages, L frames;
scales [S, N] float32, N segments.
"""

from codec.container.block import fit_block
from codec.container.header import FINGERPRINT_BYTES, MAX_NAME_BYTES, VERSION, Header
from codec.container.reader import ContainerReader, read_header, read_metadata
from codec.container.recovery import Recovered, recover_container
from codec.container.scan import BadStretch, ScanReport, scan_container
from codec.container.stream import Container, ContainerStream, read_container
from codec.container.writer import ContainerWriter, container_bytes, write_container

__all__ = [
    "FINGERPRINT_BYTES",
    "MAX_NAME_BYTES",
    "VERSION",
    "BadStretch",
    "Container",
    "ContainerReader",
    "ContainerStream",
    "ContainerWriter",
    "Header",
    "Recovered",
    "ScanReport",
    "container_bytes",
    "fit_block",
    "read_container",
    "read_header",
    "read_metadata",
    "recover_container",
    "scan_container",
    "write_container",
]
