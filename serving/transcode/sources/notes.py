"""Texts that belong to audio: `a.txt` and `a.json` beside `a.wav`, in a folder, an archive or a WebDataset shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import PurePosixPath

from serving.transcode.entry import Entry, Note

NOTE_SUFFIXES = (".json", ".txt")
# Larger ones are no words about one recording.
MAX_NOTE_BYTES = 1 << 20


def note_suffixes(stem: str, names: set[str]) -> list[str]:
    """Return the suffixes with which `stem` is among `names`."""
    return [suffix for suffix in NOTE_SUFFIXES if f"{stem}{suffix}" in names]


def with_notes(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Join an archive's entries of one stem that stand side by side: audio gets the notes, which vanish."""
    for _, group in groupby(entries, key=lambda entry: PurePosixPath(entry.name).with_suffix("")):
        yield from _join(list(group))


def _join(group: list[Entry]) -> list[Entry]:
    noted = [entry for entry in group if _is_note(entry)]
    if not noted or len(noted) == len(group):
        return group
    notes = tuple(
        Note(suffix=PurePosixPath(entry.name).suffix[1:], size=entry.size, locator=entry.locator) for entry in noted
    )
    return [replace(entry, notes=notes) for entry in group if entry not in noted]


def _is_note(entry: Entry) -> bool:
    return PurePosixPath(entry.name).suffix in NOTE_SUFFIXES and entry.size <= MAX_NOTE_BYTES and not entry.refusal
