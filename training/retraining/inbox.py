"""The inbox: a folder that new audio is put into, and what of it no retraining has taken yet.

Files are known by content, so one that is moved, renamed or copied is not new again. They are read, never changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codec.audio import probe_audio
from codec.errors import AudioError, DataError, MissingToolError
from codec.files import write_text
from data_pipelines.screening import file_sha256
from data_pipelines.sources import SourceFile, scan_sources

SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True, kw_only=True)
class InboxFile:
    """A file of the inbox: `seconds` of audio by its header, 0 if it has none that can be read."""

    name: str
    path: str
    sha256: str
    seconds: float
    modified: float

    @property
    def source(self) -> SourceFile:
        """What a build of shards takes."""
        return SourceFile(name=self.name, path=Path(self.path))


class Inbox:
    """The files of a folder; what was hashed before, and hasn't changed since by size and time, is remembered."""

    def __init__(self, folder: Path, memory: Path) -> None:
        self._folder = folder
        self._memory = memory

    def new_files(self, taken: Collection[str], *, settled_for_s: float = 0.0) -> list[InboxFile]:
        """Return the files whose content is not in `taken`, each content once, sorted by name.

        Files that were written to in the last `settled_for_s` seconds are left for later.

        Raises:
            DataError: The folder is missing or can't be listed.
        """
        latest = time.time() - settled_for_s
        files: dict[str, InboxFile] = {}
        for file in self._read():
            if file.sha256 not in taken and file.modified <= latest:
                files.setdefault(file.sha256, file)
        return list(files.values())

    def _read(self) -> list[InboxFile]:
        known, fresh = self._remembered(), {}
        files = []
        for source in self._scan():
            try:
                status = source.path.stat()
                stamp = [status.st_size, status.st_mtime_ns]
                if known.get(str(source.path), {}).get("stamp") != stamp:
                    known[str(source.path)] = {"stamp": stamp, **_look(source.path)}
            except OSError:
                continue  # it vanished, or can't be read: it may come again
            fresh[str(source.path)] = entry = known[str(source.path)]
            files.append(
                InboxFile(
                    name=source.name,
                    path=str(source.path),
                    sha256=entry["sha256"],
                    seconds=entry["seconds"],
                    modified=status.st_mtime,
                )
            )
        write_text(self._memory, json.dumps(fresh))
        return files

    def _scan(self) -> list[SourceFile]:
        if not self._folder.is_dir():
            raise DataError(f"there is no inbox '{self._folder}': create the folder and put audio into it")
        return scan_sources([self._folder], allow_empty=True)

    def _remembered(self) -> dict[str, dict[str, Any]]:
        try:
            memory: dict[str, dict[str, Any]] = json.loads(self._memory.read_text())
        except (OSError, ValueError):
            return {}
        return memory


def total_hours(files: Collection[InboxFile]) -> float:
    """Return the hours of audio in files, by their headers."""
    return sum(file.seconds for file in files) / 3600


def oldest_days(files: Collection[InboxFile]) -> float:
    """Return how many days ago the oldest file was last written to; 0 for no files."""
    return (time.time() - min((file.modified for file in files), default=time.time())) / SECONDS_A_DAY


def files_from_json(entries: list[dict[str, Any]]) -> tuple[InboxFile, ...]:
    """Return files as `files_to_json` wrote them."""
    return tuple(InboxFile(**entry) for entry in entries)


def files_to_json(files: Collection[InboxFile]) -> list[dict[str, Any]]:
    """Return what `json.dumps` can write."""
    return [asdict(file) for file in files]


def _look(path: Path) -> dict[str, Any]:
    try:
        seconds = probe_audio(path).seconds
    except (AudioError, MissingToolError):
        seconds = 0.0
    return {"sha256": file_sha256(path), "seconds": seconds}
