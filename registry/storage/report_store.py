"""The files of reports: BENTOML_HOME/reports/NAME/VERSION/CONTENT-RANDOM/, beside the packages and never in them.

As in the store of packages, only a row in the database makes a folder a report, and each storing gets a folder of its
own: what a killed process left is never in the way.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from codec.errors import RegistryError
from codec.files import sync_directory, write_bytes
from codec.home import bentoml_home
from registry.card import Card
from registry.storage.folders import new_name, remove_folder
from registry.storage.local_store import LocalStore
from registry.storage.manifest import Manifest
from registry.storage.shared_store import ManifestAt, SharedStore
from registry.storage.unfinished import unfinished

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
        self._here = LocalStore(self._root, parents="*/*/")
        self._shared = SharedStore(self._root, damage=RegistryError)

    @property
    def sides(self) -> tuple[LocalStore, SharedStore]:
        """Where the reports lie: on this machine, and on all, if machines share a store."""
        return self._here, self._shared

    def directory(self, place: str) -> Path:
        """Return where the report at `place` lies (or should)."""
        return self._root / place

    @contextlib.contextmanager
    def adding(self, card: Card, name: str, version: int) -> Iterator[StoredReport]:
        """Copy a card and its files into the store, flush them to disk, and yield what was stored, to commit its row.

        A shared store gets them too, and is read again.

        Raises:
            RegistryError: A file is missing, all are too large, or they can't be stored.
            MissingToolError: The shared store needs a package that is not installed.
        """
        files = _read(card)
        hashes = {file: hashlib.sha256(data).hexdigest() for file, data in sorted(files.items())}
        content_hash = hashlib.sha256("".join(f"{sha}  {file}\n" for file, sha in hashes.items()).encode()).hexdigest()
        place = f"{name}/{version}/{new_name(content_hash)}"
        directory = self.directory(place)
        with unfinished(directory):
            self._add(files, place)
            with self._shared.adding(directory, _manifest_of(hashes)):
                yield StoredReport(place=place, hashes=hashes, content_hash=content_hash)

    def get(self, directory: Path, hashes: Mapping[str, str]) -> None:
        """Hash every file of a stored report, which is fetched from the shared store first if it is not here.

        Raises:
            RegistryError: A file is missing or altered, which the message names; or it can't be fetched.
            MissingToolError: The shared store needs a package that is not installed.
        """
        self._shared.fetch(directory, _manifest_of(hashes))
        self._verify_here(directory, hashes)

    def verify(self, directory: Path, hashes: Mapping[str, str]) -> None:
        """Hash every file of a stored report, here and in the shared store; if that has it, this machine may lack it.

        Raises:
            RegistryError: A file is missing or altered, which the message names; or the shared store can't be read.
            MissingToolError: The shared store needs a package that is not installed.
        """
        if directory.exists() or not self._shared.is_set:
            self._verify_here(directory, hashes)
        self._shared.verify(directory, _manifest_of(hashes))

    def share(self, directory: Path, hashes: Mapping[str, str]) -> bool:
        """Upload a stored report that the shared store lacks; say whether it was.

        Raises:
            RegistryError: A file is missing or altered, which the message names; or it can't be uploaded.
            MissingToolError: The shared store needs a package that is not installed.
        """
        return self._shared.share(directory, _manifest_of(hashes))

    def remove(self, place: str) -> None:
        """Remove the folder at `place`, whole or half, if it is there; from the shared store too.

        Raises:
            RegistryError: It can't be removed from the shared store.
            MissingToolError: The shared store needs a package that is not installed.
        """
        for side in self.sides:
            side.remove(self.directory(place))

    def remove_all(self, name: str, version: int) -> None:
        """Remove every report of a version, with what killed processes left of others; from the shared store too.

        Raises:
            RegistryError: They can't be removed from the shared store.
            MissingToolError: The shared store needs a package that is not installed.
        """
        for side in self.sides:
            side.remove(self.of_version(name, version))

    def of_version(self, name: str, version: int) -> Path:
        """Return where all reports of a version lie."""
        return self._root / name / str(version)

    def _add(self, files: Mapping[str, bytes], place: str) -> None:
        directory = self.directory(place)
        try:
            for file, data in files.items():
                write_bytes(directory / file, data)
            for folder in (directory.parent, directory.parent.parent, self._root):
                sync_directory(folder)
        except OSError as error:
            remove_folder(directory)
            raise RegistryError(f"can't store a report in '{self._root}': {error}") from error

    def _verify_here(self, directory: Path, hashes: Mapping[str, str]) -> None:
        for file, expected in hashes.items():
            path = directory / file
            try:
                found = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                raise RegistryError(f"'{path}' can't be read ({error.strerror})") from None
            if found != expected:
                raise RegistryError(f"'{path}' was altered")


def _read(card: Card) -> dict[str, bytes]:
    """Return the content of a card's files by name."""
    paths = {name: card.folder / name for name in card.files}
    if missing := [name for name, path in paths.items() if not path.is_file()]:
        raise RegistryError(f"the report in '{card.folder}' lacks {', '.join(missing)}: evaluate again")
    size = sum(path.stat().st_size for path in paths.values())
    if size > MAX_REPORT_BYTES:
        raise RegistryError(f"the report in '{card.folder}' has {size:,} bytes, at most {MAX_REPORT_BYTES:,} are kept")
    return {name: path.read_bytes() for name, path in paths.items()}


def report_manifest(hashes: Mapping[str, str]) -> Manifest:
    """Return the manifest of the report whose files have these SHA-256."""
    return Manifest(hashes=hashes, most_bytes=MAX_REPORT_BYTES, damage=RegistryError)


def _manifest_of(hashes: Mapping[str, str]) -> ManifestAt:
    return lambda _: report_manifest(hashes)
