"""The report of a verification: DIR/report.jsonl, a line for each file, sorted, and DIR/report.html, to read and hear.

The same files, checks and machine give the same bytes, as there is no time in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from codec.files import atomic_path, write_text
from serving.transcode.verify.excerpt import Excerpt
from serving.transcode.verify.finding import Finding, Floors
from serving.transcode.verify.page import page
from serving.transcode.verify.summary import Summary

LINES = "report.jsonl"
PAGE = "report.html"
# Of sound and pictures in a page, before base64 makes them a third larger.
MAX_EXCERPT_BYTES = 12 << 20


def write_lines(folder: Path, findings: Iterable[Finding]) -> None:
    """Write a line for each finding."""
    with atomic_path(folder / LINES) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(finding.to_line() for finding in findings)


def write_page(
    folder: Path, summary: Summary, floors: Floors, excerpts: Sequence[tuple[Finding, Excerpt | None]], title: str
) -> None:
    """Write the page, with as many of the excerpts as it may hold."""
    write_text(folder / PAGE, page(summary, floors, _within(excerpts), title))


def _within(excerpts: Sequence[tuple[Finding, Excerpt | None]]) -> list[tuple[Finding, Excerpt | None]]:
    kept: list[tuple[Finding, Excerpt | None]] = []
    spent = 0
    for finding, excerpt in excerpts:
        spent += 0 if excerpt is None else excerpt.num_bytes
        kept.append((finding, excerpt if spent <= MAX_EXCERPT_BYTES else None))
    return kept
