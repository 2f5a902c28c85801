"""`nacre inspect` and `nacre verify`: what a container says of itself, and whether it is whole; no model is needed."""

from __future__ import annotations

import contextlib
import mmap
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codec.errors import BitstreamError

if TYPE_CHECKING:
    from codec.container import ScanReport
    from codec.metadata import Metadata

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("file", metavar="FILE", type=_PATH)
def inspect(file: Path) -> None:
    """Show what the container FILE holds and what is damaged in it.

    \b
    Example:
      nacre inspect speech.nac
    """
    report = _scan(file)
    click.echo(_describe(report, file.stat().st_size))
    if report.metadata is not None:
        click.echo("\n".join(_describe_metadata(report.metadata)))
    for problem in report.problems:
        click.echo(f"damage       {problem}")


@click.command()
@click.argument("files", metavar="FILE...", type=_PATH, nargs=-1, required=True)
def verify(files: tuple[Path, ...]) -> None:
    """Check every block of each container FILE; name the damaged ones and their times.

    \b
    Example:
      nacre verify *.nac

    Exits with 1 if anything is damaged.
    """
    whole = True
    for file in files:
        try:
            report = _scan(file)
        except BitstreamError as error:
            problems: tuple[str, ...] = (str(error),)
        else:
            problems = report.problems
        for problem in problems:
            click.echo(f"{file}: {problem}")
        if not problems:
            click.echo(f"{file}: whole, {report.num_whole} blocks, {report.header.seconds:.2f} s")
        whole = whole and not problems
    sys.exit(0 if whole else 1)


def _describe(report: ScanReport, num_bytes: int) -> str:
    header = report.header
    bits = header.num_streams * header.num_quantizers * header.bits_per_code
    nominal = bits * header.sample_rate / header.hop_length / 1000
    measured = f"{num_bytes * 8 / header.seconds / 1000:.2f} kbps" if header.num_samples else "nothing to decode"
    segments = "" if header.overlap is None else f", segments that overlap by {header.overlap} samples"
    lines = {
        "codec": f"{header.codec_name}, fingerprint {header.fingerprint.hex()}",
        "duration": f"{header.source_num_samples / header.source_sample_rate:.2f} s",
        "audio": f"{header.source_num_samples} samples at {header.source_sample_rate} Hz, {header.channels} channel(s)",
        "coded": f"{header.num_samples} samples at {header.sample_rate} Hz, {header.num_streams} stream(s)",
        "codes": f"{header.num_quantizers} quantizers of {header.codebook_size}, "
        f"{header.num_frames} frames of {header.hop_length} samples",
        "coding": f"entropy-coded by the tables {header.coder.hex()}" if header.coder else "packed",
        "bitrate": f"{nominal:.2f} kbps nominal, {measured} in {num_bytes} bytes",
        "blocks": f"{report.num_whole} whole, of {header.frames_per_block} frames at most" + segments,
    }
    return "\n".join(f"{name:12} {text}" for name, text in lines.items())


def _describe_metadata(metadata: Metadata) -> list[str]:
    """Return a line for each of the metadata, a tag's values one by one."""
    import numpy as np

    modified = None if metadata.mtime_ns is None else f"{np.datetime64(metadata.mtime_ns, 'ns')} UTC"
    facts = {
        "source": metadata.source_name,
        "format": " ".join(filter(None, (metadata.format, metadata.subtype))),
        "rate": None if metadata.sample_rate is None else f"{metadata.sample_rate} Hz",
        "layout": metadata.channel_layout,
        "modified": modified,
        "sha256": metadata.source_sha256,
    }
    lines = [f"{name:12} {_printable(text)}" for name, text in facts.items() if text]
    tags = ((name, value) for name, values in metadata.tags.items() for value in values)
    return lines + [f"tag          {_printable(name)}: {_printable(value)}" for name, value in tags]


def _printable(text: str) -> str:
    """Replace what would move a terminal's cursor or change its colours."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _scan(file: Path) -> ScanReport:
    from codec.container import scan_container

    with _mapped(file) as data:
        return scan_container(data)


@contextlib.contextmanager
def _mapped(file: Path) -> Iterator[bytes | mmap.mmap]:
    if not file.is_file():
        raise BitstreamError(f"there is no file '{file}'")
    if file.stat().st_size == 0:
        yield b""
        return
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data
