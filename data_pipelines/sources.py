"""Source files: the audio files below the folders that a build is given, in an order that no file system decides.

Links to files are followed, links to folders below a source are not (they could lead in circles), names that start
with a dot are skipped.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codec.audio import AUDIO_SUFFIXES
from codec.errors import DataError


@dataclass(frozen=True, kw_only=True, order=True)
class SourceFile:
    """One audio file: `name` is its path relative to its source with `/` between parts, `path` where it lies."""

    name: str
    path: Path


def scan_sources(sources: Sequence[Path], *, allow_empty: bool = False) -> list[SourceFile]:
    """Find every audio file below `sources` (folders, or single files), sorted by name.

    Raises:
        DataError: A source is missing, can't be listed, or holds no audio file and may not be empty.
    """
    return sorted({file for source in sources for file in _scan(source, allow_empty)})


def _scan(source: Path, allow_empty: bool) -> list[SourceFile]:
    if source.is_file():
        if source.suffix.lower() not in AUDIO_SUFFIXES:
            raise DataError(f"'{source}' is not an audio file by its suffix; known are {_known()}")
        return [SourceFile(name=source.name, path=source.absolute())]
    if not source.is_dir():
        raise DataError(f"'{source}' does not exist: give a folder with audio files, or an audio file")
    files = [
        SourceFile(name=path.relative_to(source).as_posix(), path=path.absolute())
        for path in _walk(source)
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()
    ]
    if not files and not allow_empty:
        raise DataError(f"'{source}' holds no audio file ({_known()})")
    return files


def _walk(folder: Path) -> list[Path]:
    paths = []
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [Path(parent, name) for name in names if not name.startswith(".")]
    return paths


def _refuse(error: OSError) -> None:
    raise DataError(f"'{error.filename}' can't be listed ({error.strerror}): fix its permissions or leave it out")


def _known() -> str:
    return ", ".join(sorted(AUDIO_SUFFIXES))
