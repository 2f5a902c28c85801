"""Finding what is whole in a container: past a damaged stretch, the next block whose checksum holds is looked for.

A block's checksum covers the header's and its own index, so that no foreign or displaced block is taken for whole.
Memory stays that of one block, whatever the size of the file, when it is given memory-mapped.
"""

from __future__ import annotations

import dataclasses
import mmap
from collections.abc import Iterator
from dataclasses import dataclass

from codec.container.block import (
    BLOCK_HEADER,
    BLOCK_MARKER,
    INDEX_MODULUS,
    CheckedBlock,
    block_bytes,
    check_block,
    parse_block_header,
    read_blocks,
)
from codec.container.footer import END_MAGIC, FOOTER_MARKER, INDEX_STEP, Footer, find_footer
from codec.container.header import MAX_HEADER_BYTES, Header, Opening, parse_header
from codec.container.section import parse_section
from codec.errors import BitstreamError
from codec.metadata import Metadata

Data = bytes | mmap.mmap


@dataclass(frozen=True)
class BadStretch:
    """Neighbouring blocks that are damaged or missing: `first` up to, and without, `end`, and their times."""

    first: int
    end: int
    start_s: float
    end_s: float

    def __str__(self) -> str:
        blocks = f"block {self.first}" if self.end - self.first == 1 else f"blocks {self.first} to {self.end - 1}"
        return f"{blocks} ({self.start_s:.2f} to {self.end_s:.2f} s)"


@dataclass(frozen=True, kw_only=True)
class ScanReport:
    """What a scan found.

    Without a footer, the totals in `header` are those of what was found. `metadata` are there if they are whole.
    `faults` are what is wrong other than in blocks, one sentence each.
    """

    header: Header
    num_whole: int
    bad: tuple[BadStretch, ...]
    faults: tuple[str, ...]
    metadata: Metadata | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong, a sentence each; nothing if the container is whole."""
        return tuple(f"{stretch} damaged" for stretch in self.bad) + self.faults

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(frozen=True)
class WholeBlock:
    """A whole block, and the bytes it takes."""

    block: CheckedBlock
    start: int
    stop: int


@dataclass
class _Findings:
    """What a walk over the blocks adds up to; `end` is where its last whole block ends, at first where they begin.

    `num_samples` are the most that agree with the frames of all blocks found; a short one, which lies at the very end,
    sets a `limit`.
    """

    end: int
    expected: int = 0
    num_whole: int = 0
    num_samples: int = 0
    limit: int = 1 << 64
    num_bytes: int = 0
    stray_bytes: int = 0
    gaps: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    offsets: list[int] = dataclasses.field(default_factory=list)

    def add(self, found: WholeBlock, header: Header) -> None:
        index, frames = found.block.index, found.block.frames
        self.skip_to(index)
        if index and index % INDEX_STEP == 0:
            self.offsets.append(found.start)
        self.stray_bytes += found.start - self.end
        self.num_bytes += found.stop - found.start
        self.num_whole, self.expected, self.end = self.num_whole + 1, index + 1, found.stop
        stride, hop = header.segmentation.stride, header.hop_length
        start = index * stride
        reach = start + frames * hop
        # Of segments, only one that reaches no further than its stride can be the last.
        may_be_last = frames <= -(-stride // hop)
        self.num_samples = min(self.limit, reach, start + stride) if may_be_last else min(self.limit, reach)
        if frames < header.frames_per_block:
            self.limit = min(self.limit, reach)

    def skip_to(self, index: int) -> None:
        if index > self.expected:
            self.gaps.append((self.expected, index))
            self.expected = index


def scan_container(data: Data) -> ScanReport:
    """Check every block, and find those that are whole between those that aren't.

    Of an entropy-coded block that is its checksum; of a packed one, its codes too.

    Raises:
        BitstreamError: The header can't be read; without it no block can be checked.
    """
    opening = parse_header(data[:MAX_HEADER_BYTES])
    footer, end = locate_footer(opening, data)
    header = footer.complete(opening.header) if footer else opening.header
    metadata, faults = _read_metadata(opening, data)
    findings = _Findings(opening.blocks_start)
    for block in whole_blocks(opening, data, footer, end):
        findings.add(block, header)
    if footer:
        findings.skip_to(header.num_blocks)
        faults += _footer_faults(findings, footer, end, len(data))
    else:
        faults.append("it has no whole footer: it is cut short, or its end is damaged")
        header = _found_totals(header, findings.num_samples)
        findings.skip_to(findings.expected + _lost_blocks(header, findings, data))
    return ScanReport(
        header=header,
        num_whole=findings.num_whole,
        bad=tuple(_stretch(header, *gap) for gap in findings.gaps),
        faults=tuple(faults),
        metadata=metadata,
    )


def whole_blocks(opening: Opening, data: Data, footer: Footer | None, end: int) -> Iterator[WholeBlock]:
    """Yield the blocks before `end` whose checksum holds, in order."""
    header = footer.complete(opening.header) if footer else opening.header
    largest = block_bytes(header, header.frames_per_block) + 2
    # Where metadata are damaged, bytes may be missing, and the first block lie before its place.
    position, expected = opening.num_bytes if _read_metadata(opening, data)[1] else opening.blocks_start, 0
    while 0 <= position < end:
        found = _try_block(opening, data[position : min(end, position + largest)], expected, position)
        if found is None or (footer and not _fits(header, found.block)):
            position = data.find(BLOCK_MARKER, position + 1, end)
            continue
        yield found
        if header.overlap is None and found.block.frames < header.frames_per_block:
            return
        position, expected = found.stop, found.block.index + 1


def locate_footer(opening: Opening, data: Data) -> tuple[Footer | None, int]:
    """Return the footer, if there is a whole one, and where the blocks end at the latest."""
    last = data.rfind(END_MAGIC)
    try:
        return find_footer(opening, lambda start, stop: data[start:stop], last + len(END_MAGIC))
    except BitstreamError:
        return None, len(data)


def _read_metadata(opening: Opening, data: Data) -> tuple[Metadata | None, list[str]]:
    """Return the metadata if there are any and they are whole, and what is wrong with them."""
    try:
        return parse_section(opening, data[opening.num_bytes : opening.blocks_start]), []
    except BitstreamError as error:
        return None, [str(error)]


def _try_block(opening: Opening, data: bytes, expected: int, start: int) -> WholeBlock | None:
    head = parse_block_header(data)
    if head is None or BLOCK_HEADER.size + head.length > len(data):
        return None
    index = expected + (head.number - expected) % INDEX_MODULUS
    stop = BLOCK_HEADER.size + head.length
    try:
        block = check_block(opening, head, data[BLOCK_HEADER.size : stop], index)
        if block.packed:
            read_blocks(opening.header, [block], None)
    except BitstreamError:
        return None
    return WholeBlock(block, start, start + stop)


def _fits(header: Header, block: CheckedBlock) -> bool:
    return block.index < header.num_blocks and block.frames == header.block_frames(block.index)


def _footer_faults(findings: _Findings, footer: Footer, end: int, size: int) -> list[str]:
    faults = []
    stray = findings.stray_bytes + end - findings.end
    if stray > 0 and not findings.gaps:
        faults.append(f"{stray} bytes between the blocks belong to none")
    if not stray and not findings.gaps and footer.offsets != tuple(findings.offsets):
        faults.append("the index doesn't say where the blocks are")
    after = size - end - footer.num_bytes
    if after:
        faults.append(f"{after} bytes follow that don't belong to it")
    return faults


def _found_totals(header: Header, num_samples: int) -> Header:
    """Return `header` with totals of at most `num_samples`, in accord with each other."""
    source = num_samples * header.source_sample_rate // header.sample_rate
    samples = -(-source * header.sample_rate // header.source_sample_rate)
    return dataclasses.replace(header, num_samples=samples, source_num_samples=source)


def _lost_blocks(header: Header, findings: _Findings, data: Data) -> int:
    """Return how many blocks the bytes after the last whole one were, the last of them perhaps cut.

    Entropy-coded blocks differ in size: then it is an estimate, from those found.
    """
    num_bytes = len(data) - findings.end
    if num_bytes <= 0 or data[findings.end : findings.end + len(FOOTER_MARKER)] == FOOTER_MARKER:
        return 0
    usual = block_bytes(header, header.frames_per_block)
    if header.coder and findings.num_whole:
        usual = findings.num_bytes // findings.num_whole
    return -(-num_bytes // usual)


def _stretch(header: Header, first: int, end: int) -> BadStretch:
    start, stop = header.block_range(first)[0], header.block_range(end - 1)[1]
    return BadStretch(first, end, start / header.sample_rate, stop / header.sample_rate)
