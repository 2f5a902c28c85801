"""Sources at fsspec URLs: a folder's files, an archive, or shards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from codec.audio import AUDIO_SUFFIXES
from codec.errors import DataError
from codec.files import TEMPORARY_PREFIX
from serving.transcode.entry import Entry, Locator, Note
from serving.transcode.place import explained, open_url
from serving.transcode.sources import Source
from serving.transcode.sources.archive import open_archive
from serving.transcode.sources.folder import STATE_FOLDER
from serving.transcode.sources.notes import NOTE_SUFFIXES, note_suffixes
from serving.transcode.sources.shards import Shards, shards_among
from serving.transcode.sources.tars import checked_name


@dataclass(frozen=True)
class RemoteFolder:
    """A folder at a URL; one folder's names at a time are held."""

    url: str

    def entries(self) -> Iterator[Entry]:
        """Yield every file, sorted within each folder.

        Raises:
            DataError: It can't be listed.
        """
        file_system, root = open_url(self.url)
        yield from _walk(file_system, root, root)

    def group(self, entry: Entry) -> str:
        """Return the entry's name: parts are divided by it."""
        return entry.name


def open_remote(url: str) -> Source:
    """Return the source at a URL.

    Raises:
        DataError: There is nothing there, or it can't be read.
        MissingToolError: The URL needs a package that is not installed.
    """
    if any(mark in url for mark in "*?["):
        return Shards.matching(url)
    file_system, root = open_url(url)
    with explained("read", url):
        if file_system.isfile(root):
            return open_archive(url)
        try:
            top = file_system.ls(root, detail=True)
        except FileNotFoundError:
            raise DataError(f"there is nothing at '{url}'") from None
    files = (file_system.unstrip_protocol(item["name"]) for item in top if item["type"] == "file")
    shards = shards_among(files)
    return Shards(shards) if shards else RemoteFolder(url)


def _walk(file_system: Any, root: str, folder: str) -> Iterator[Entry]:
    with explained("listed", folder):
        items = {item["name"].rstrip("/"): item for item in file_system.ls(folder, detail=True)}
    items.pop(folder, None)
    names = {PurePosixPath(path).name for path in items}
    noted = {name for name in names if PurePosixPath(name).suffix in NOTE_SUFFIXES}
    for path in sorted(items, key=lambda path: path + "/" * (items[path]["type"] == "directory")):
        name = PurePosixPath(path).name
        if items[path]["type"] == "directory":
            if name != STATE_FOLDER:
                yield from _walk(file_system, root, path)
        elif not name.startswith(TEMPORARY_PREFIX):
            yield _entry(file_system, root, path, items, noted)


def _entry(file_system: Any, root: str, path: str, items: dict[str, Any], noted: set[str]) -> Entry:
    item = items[path]
    name, refusal = checked_name(path.removeprefix(f"{root}/"))
    notes: tuple[Note, ...] = ()
    if PurePosixPath(path).suffix.lower() in AUDIO_SUFFIXES:
        base = path.removesuffix(PurePosixPath(path).suffix)
        beside = (f"{base}{suffix}" for suffix in note_suffixes(PurePosixPath(path).stem, noted))
        notes = tuple(_note(file_system, note, int(items[note]["size"])) for note in beside)
    return Entry(
        name=name,
        size=int(item["size"] or 0),
        stamp=_stamp(item),
        locator=Locator(url=file_system.unstrip_protocol(path)),
        notes=notes,
        refusal=refusal,
    )


def _note(file_system: Any, path: str, size: int) -> Note:
    locator = Locator(url=file_system.unstrip_protocol(path))
    return Note(suffix=PurePosixPath(path).suffix[1:], size=size, locator=locator)


def _stamp(item: dict[str, Any]) -> str:
    """Return what the store says of an object's version: its ETag, or when it changed."""
    for key in ("ETag", "etag", "md5", "LastModified", "last_modified", "mtime", "created"):
        if item.get(key):
            return str(item[key]).strip('"')
    return str(item["size"])
