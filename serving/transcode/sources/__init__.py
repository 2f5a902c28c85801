"""Where audio or containers come from: a source lists entries, and `opening.py` opens one, in any process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from codec.errors import DataError
from serving.transcode.entry import Entry


class Source(Protocol):
    """What there is to transcode."""

    def entries(self) -> Iterator[Entry]:
        """Yield every file in the order in which they are best read, the same each time, in bounded memory.

        Raises:
            NacreError: It can't be listed, or is damaged.
        """
        ...

    def group(self, entry: Entry) -> str:
        """Return what `--part` divides by: entries of one group go to the same part."""
        ...


def open_source(text: str) -> Source:
    """Return the source that `text` names: a folder, BagIt bag, archive, folder or pattern of shards, or a URL of one.

    Raises:
        DataError: There is nothing there that can be one.
        MissingToolError: The URL needs a package that is not installed.
    """
    from serving.transcode.place import is_url

    if is_url(text):
        from serving.transcode.sources.remote import open_remote

        return open_remote(text)
    path = Path(text).expanduser().absolute()  # workers may have another working folder
    if path.is_dir():
        return _open_folder(path)
    if path.is_file():
        from serving.transcode.sources.archive import open_archive

        return open_archive(path)
    if any(mark in text for mark in "*?["):
        from serving.transcode.sources.shards import Shards

        return Shards.matching(text)
    raise DataError(f"there is nothing at '{text}': name a folder, an archive, or a pattern of shards in quotes")


def _open_folder(path: Path) -> Source:
    from serving.transcode.sources.folder import Folder
    from serving.transcode.sources.shards import Shards, find_shards

    if (path / "bagit.txt").is_file():
        from serving.transcode.bags.source import BagSource

        return BagSource(path)
    if shards := find_shards(path):
        return Shards(shards)
    return Folder(path)
