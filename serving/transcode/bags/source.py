"""A bag as a source: the audio of its payload, each file with the checksum that the bag promises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from serving.transcode.bags.names import PAYLOAD
from serving.transcode.bags.read import read_bag
from serving.transcode.entry import Entry
from serving.transcode.sources.folder import Folder


@dataclass(frozen=True)
class BagSource:
    """The files below a bag's `data`, named from there."""

    root: Path

    def entries(self) -> Iterator[Entry]:
        """Yield every file of the payload, sorted by name.

        Raises:
            DataError: The bag is damaged, incomplete or unsafe.
        """
        payload = read_bag(self.root).payload
        for entry in Folder(self.root / PAYLOAD).entries():
            checksum = payload.checksums.get(f"{PAYLOAD}/{entry.name}")
            promised = None if checksum is None else f"{payload.algorithm}:{checksum.hex()}"
            yield replace(entry, checksum=promised)

    def group(self, entry: Entry) -> str:
        """Return the entry's name: parts are divided by it."""
        return entry.name
