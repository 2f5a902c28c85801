"""The manifest: one JSON line for each source file, kept or rejected, sorted by path.

    {"path": "en/a.flac", "sha256": "...", "seconds": 3.2, "sample_rate": 44100, "channels": 2, "split": "train",
     "reason": null}

`path` is relative to the source it was found in, so the manifest is the same on every machine. `seconds`,
`sample_rate` and `channels` are the source's own (null if unknown). A rejected file has a `reason` and no `split`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from codec.errors import DataError
from data_pipelines.splits import Split

MANIFEST_NAME = "manifest.jsonl"


@dataclass(frozen=True, kw_only=True)
class ManifestEntry:
    """One line."""

    path: str
    sha256: str | None
    seconds: float | None
    sample_rate: int | None
    channels: int | None
    split: Split | None
    reason: str | None


def manifest_text(entries: Iterable[ManifestEntry]) -> str:
    """Return the manifest's text."""
    return "".join(json.dumps(asdict(entry)) + "\n" for entry in entries)


def parse_manifest(text: str) -> list[ManifestEntry]:
    """Read the manifest's text.

    Raises:
        DataError: A line is not a manifest entry.
    """
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            entries.append(ManifestEntry(**json.loads(line)))
        except (TypeError, ValueError):
            raise DataError(f"line {number} of {MANIFEST_NAME} is not a manifest entry: build the data again") from None
    return entries
