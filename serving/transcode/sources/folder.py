"""A folder of this machine, with all folders in it. What a killed run or a run at work left in it is no part of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from codec.audio import AUDIO_SUFFIXES
from codec.errors import DataError
from codec.files import TEMPORARY_PREFIX
from serving.transcode.entry import Entry, Locator, Note
from serving.transcode.sources.notes import NOTE_SUFFIXES, note_suffixes

STATE_FOLDER = ".nacre"


@dataclass(frozen=True)
class Folder:
    """Its entries come sorted by name, and one folder's names at a time are held."""

    root: Path

    def entries(self) -> Iterator[Entry]:
        """Yield every file but links that lead nowhere.

        Raises:
            DataError: A folder can't be listed.
        """
        yield from _walk(self.root, "")

    def group(self, entry: Entry) -> str:
        """Return the entry's name: parts are divided by it."""
        return entry.name


def _walk(folder: Path, prefix: str) -> Iterator[Entry]:
    files, folders = _list(folder)
    noted = {name for name in files if PurePosixPath(name).suffix in NOTE_SUFFIXES}
    for name in sorted([*files, *(f"{inner}/" for inner in folders)]):  # so that whole names come in order
        if name.endswith("/"):
            yield from _walk(folder / name, prefix + name)
        elif (entry := _entry(folder, prefix, name, noted)) is not None:
            yield entry


def _list(folder: Path) -> tuple[list[str], list[str]]:
    files, folders = [], []
    try:
        with os.scandir(folder) as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    if item.name != STATE_FOLDER:
                        folders.append(item.name)
                elif not item.name.startswith(TEMPORARY_PREFIX):
                    files.append(item.name)
    except OSError as error:
        raise DataError(f"can't list '{folder}': {error.strerror}") from None
    return files, folders


def _entry(folder: Path, prefix: str, name: str, noted: set[str]) -> Entry | None:
    path = folder / name
    try:
        state = path.stat()
    except OSError:
        return None  # a link that leads nowhere, or gone since
    if not stat.S_ISREG(state.st_mode):
        return None
    shown = (prefix + name).encode("utf-8", "replace").decode()
    refusal = None if shown == prefix + name else "its name is no text (UTF-8): rename it"
    return Entry(
        name=shown,
        size=state.st_size,
        stamp=str(state.st_mtime_ns),
        locator=Locator(url=str(path) if refusal is None else str(folder).encode("utf-8", "replace").decode()),
        mtime_ns=state.st_mtime_ns,
        notes=_notes(folder, name, noted),
        refusal=refusal,
    )


def _notes(folder: Path, name: str, noted: set[str]) -> tuple[Note, ...]:
    if not noted or PurePosixPath(name).suffix.lower() not in AUDIO_SUFFIXES:
        return ()
    stem = PurePosixPath(name).stem
    found = ((suffix, folder / f"{stem}{suffix}") for suffix in note_suffixes(stem, noted))
    return tuple(
        Note(suffix=suffix[1:], size=path.stat().st_size, locator=Locator(url=str(path))) for suffix, path in found
    )
