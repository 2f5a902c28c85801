"""WebDataset shards: tars whose records are files of one stem, side by side: `key.wav`, `key.json`, `key.txt`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from codec.audio import AUDIO_SUFFIXES
from codec.errors import DataError
from serving.transcode.entry import Entry
from serving.transcode.place import explained, is_url, open_url

SHARD_SUFFIX = ".tar"


@dataclass(frozen=True)
class Shards:
    """Shards at paths or URLs; the names of a shard's entries start with its own, as `train-000/key.wav`."""

    urls: Sequence[str]

    @classmethod
    def matching(cls, pattern: str) -> Shards:
        """Return the shards at the paths or URLs that match `pattern`.

        Raises:
            DataError: None do, or they can't be listed.
        """
        text = pattern if is_url(pattern) else str(Path(pattern).absolute())
        file_system, path = open_url(text)
        with explained("listed", pattern):
            found = sorted(str(name) for name in file_system.glob(path))
        if not found:
            raise DataError(f"nothing matches '{pattern}'")
        return cls([file_system.unstrip_protocol(name) if is_url(pattern) else name for name in found])

    def entries(self) -> Iterator[Entry]:
        """Yield every file of every shard.

        Raises:
            DataError: A shard is damaged, is no tar, or two are called the same.
        """
        from serving.transcode.sources.archive import open_archive

        taken: dict[str, str] = {}
        for url in self.urls:
            name = PurePosixPath(url).name.removesuffix(SHARD_SUFFIX)
            if taken.setdefault(name, url) != url:
                raise DataError(f"two shards are called '{name}', '{taken[name]}' and '{url}': rename one")
            yield from open_archive(url, f"{name}/").entries()

    def group(self, entry: Entry) -> str:
        """Return the entry's shard: a part has whole ones."""
        return entry.locator.url


def find_shards(folder: Path) -> list[str]:
    """Return the tars of a folder that has no audio beside them; none where it has, or where there are none."""
    return shards_among(str(folder / name.name) for name in folder.iterdir())


def shards_among(urls: Iterator[str]) -> list[str]:
    """Return the tars among the files of a folder, unless there is audio too."""
    shards = []
    for url in urls:
        suffix = PurePosixPath(url).suffix.lower()
        if suffix in AUDIO_SUFFIXES:
            return []
        if suffix == SHARD_SUFFIX:
            shards.append(url)
    return sorted(shards)
