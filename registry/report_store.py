"""The files of reports: BENTOML_HOME/reports/NAME/VERSION/CONTENT-RANDOM/, beside the packages and never in them.

As in the store of packages, only a row in the database makes a folder a report, and each storing gets a folder of its
own: what a killed process left is never in the way.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codec.errors import RegistryError
from codec.files import sync_directory, write_bytes
from codec.home import bentoml_home
from registry.card import Card

MAX_REPORT_BYTES = 32 << 20


@dataclass(frozen=True, kw_only=True)
class StoredReport:
    """What was stored: the folder's `place` in the store, the SHA-256 of each file, and one of all."""

    place: str
    hashes: dict[str, str]
    content_hash: str


class ReportStore:
    """Folders of reports in the store that BENTOML_HOME names."""

    def __init__(self) -> None:
        self._root = bentoml_home() / "reports"

    def directory(self, place: str) -> Path:
        """Return where the report at `place` lies (or should)."""
        return self._root / place

    def add(self, card: Card, name: str, version: int) -> StoredReport:
        """Copy a card and its files into the store, and flush them to disk.

        Raises:
            RegistryError: A file is missing, all are too large, or they can't be stored.
        """
        files = _read(card)
        hashes = {file: hashlib.sha256(data).hexdigest() for file, data in sorted(files.items())}
        content_hash = hashlib.sha256("".join(f"{sha}  {file}\n" for file, sha in hashes.items()).encode()).hexdigest()
        place = f"{name}/{version}/{content_hash[:12]}-{secrets.token_hex(4)}"
        directory = self.directory(place)
        try:
            for file, data in files.items():
                write_bytes(directory / file, data)
            for folder in (directory.parent, directory.parent.parent, self._root):
                sync_directory(folder)
        except OSError as error:
            self.remove(place)
            raise RegistryError(f"can't store the report '{card.folder}' in '{self._root}': {error}") from error
        return StoredReport(place=place, hashes=hashes, content_hash=content_hash)

    def verify(self, directory: Path, hashes: Mapping[str, str]) -> None:
        """Hash every file of a stored report.

        Raises:
            RegistryError: A file is missing or altered; the message names it.
        """
        for file, expected in hashes.items():
            path = directory / file
            try:
                found = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                raise RegistryError(f"'{path}' can't be read ({error.strerror})") from None
            if found != expected:
                raise RegistryError(f"'{path}' was altered")

    def remove(self, place: str) -> None:
        """Remove the folder at `place`, whole or half, if it is there."""
        shutil.rmtree(self.directory(place), ignore_errors=True)


def _read(card: Card) -> dict[str, bytes]:
    """Return the content of a card's files by name."""
    paths = {name: card.folder / name for name in card.files}
    if missing := [name for name, path in paths.items() if not path.is_file()]:
        raise RegistryError(f"the report in '{card.folder}' lacks {', '.join(missing)}: evaluate again")
    size = sum(path.stat().st_size for path in paths.values())
    if size > MAX_REPORT_BYTES:
        raise RegistryError(f"the report in '{card.folder}' has {size:,} bytes, at most {MAX_REPORT_BYTES:,} are kept")
    return {name: path.read_bytes() for name, path in paths.items()}
