"""The store that several machines share, at NACRE_STORE_URL: a folder, `s3://bucket/prefix`, or any other fsspec URL.

It has this machine's models/ and reports/ under the same names, without what BentoML adds to them. As here, only a row
in the database makes a folder mean anything, and each has a name of its own. What is uploaded has a mark beside it,
FOLDER.unfinished, until its row is committed. Without NACRE_STORE_URL nothing is shared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from codec.errors import NacreError, RegistryError
from codec.files import sync_directory
from codec.locking import locked
from registry.storage.folders import flush_folder, is_folder_name, remove_folder
from registry.storage.location import Location
from registry.storage.manifest import Manifest
from registry.witness import now, who

# A mark of this age is a killed process's: nothing takes as long to upload.
GIVEN_UP_S = 24 * 3600
_MARK = ".unfinished"

ManifestAt = Callable[[Location], Manifest]
Complete = Callable[[Path, Path], None]


class SharedStore:
    """The shared copies of the folders under `root`, which this machine has; `damage` says that one is not whole."""

    def __init__(self, root: Path, damage: type[NacreError]) -> None:
        self._root = root
        self._damage = damage
        url = os.environ.get("NACRE_STORE_URL")
        self._shared = Location(url) / root.name if url else None

    @property
    def is_set(self) -> bool:
        """Whether anything is shared."""
        return self._shared is not None

    def location(self, folder: Path) -> Location:
        """Return where the shared copy of `folder` is, or should be."""
        assert self._shared is not None, "nothing is shared"
        return self._shared / folder.relative_to(self._root).as_posix()

    @contextmanager
    def adding(self, folder: Path, manifest_at: ManifestAt) -> Iterator[None]:
        """Upload `folder` and read back what came of it, before its row is committed; should that fail, neither stays.

        Raises:
            NacreError: As `damage`: what came of it is something else.
            RegistryError: It can't be written or read.
            MissingToolError: The URL needs a package that is not installed.
        """
        if self._shared is None:
            yield
            return
        parent, mark = self.location(folder.parent), f"{folder.name}{_MARK}"
        try:
            parent.write(mark, f"{now()} {who()}\n".encode())
            self._upload(folder, manifest_at(Location(str(folder))))
        except NacreError:
            remove_folder(folder)
            raise
        yield
        with suppress(NacreError):  # the row is there, which outweighs a mark
            parent.remove(mark)

    def share(self, folder: Path, manifest_at: ManifestAt) -> bool:
        """Upload `folder`, which has its row, if its shared copy lacks a file; say whether it was.

        Raises:
            NacreError: As `damage`: it isn't whole here, or what came of it is something else.
            RegistryError: It can't be written or read, or nothing is shared.
            MissingToolError: The URL needs a package that is not installed.
        """
        if self._shared is None:
            raise RegistryError("no store is shared: set NACRE_STORE_URL to a folder, or s3://BUCKET/PREFIX")
        here = Location(str(folder))
        manifest = manifest_at(here)
        if manifest.is_at(self.location(folder)):
            return False
        manifest.verify(here)
        self._upload(folder, manifest)
        return True

    def fetch(self, folder: Path, manifest_at: ManifestAt, complete: Complete = lambda fetched, folder: None) -> None:
        """Bring the shared copy of `folder` here, whole or not at all, unless it is here.

        `complete(fetched, folder)` may add to what was fetched before it becomes `folder`.

        Raises:
            NacreError: As `damage`: there is none, or a file is missing, altered or too many.
            RegistryError: It can't be read, or not be stored here.
            MissingToolError: The URL needs a package that is not installed.
        """
        if self._shared is None or folder.exists():
            return
        source = self._present(folder)
        try:
            with self._staging(folder) as staging:
                if folder.exists():
                    return  # another process was faster
                manifest_at(source).fetch(source, staging, alone=True)
                complete(staging, folder)
                folder.parent.mkdir(parents=True, exist_ok=True)
                flush_folder(staging)
                staging.rename(folder)
                sync_directory(folder.parent)
        except OSError as error:
            raise RegistryError(f"can't store '{source}' in '{folder.parent}': {error}") from error

    def verify(self, folder: Path, manifest_at: ManifestAt) -> None:
        """Read the shared copy of `folder`.

        Raises:
            NacreError: As `damage`: there is none, or a file is missing, altered or too many.
            RegistryError: It can't be read.
            MissingToolError: The URL needs a package that is not installed.
        """
        if self._shared is not None:
            location = self._present(folder)
            manifest_at(location).verify(location, alone=True)

    def remove(self, folder: Path) -> None:
        """Remove the shared copy of `folder`, whole or half, or of all in it, and its mark, if they are there.

        Raises:
            RegistryError: It can't be removed.
            MissingToolError: The URL needs a package that is not installed.
        """
        if self._shared is not None:
            self.location(folder).remove()
            self.location(folder.parent).remove(f"{folder.name}{_MARK}")

    def folders(self) -> set[Path]:
        """Return the folders that have a shared copy or a mark there.

        Raises:
            RegistryError: The store can't be read.
            MissingToolError: The URL needs a package that is not installed.
        """
        if self._shared is None:
            return set()
        names = [Path(name) for name in self._shared.walk()]
        found = {name.with_suffix("") if name.suffix == _MARK else name.parent for name in names}
        return {self._root / folder for folder in found if is_folder_name(folder.name)}

    def address(self, folder: Path) -> str:
        """Return how a message names the shared copy of `folder`."""
        return str(self.location(folder))

    def size_bytes(self, folder: Path) -> int:
        """Return the bytes of all files of the shared copy of `folder`; 0 if there is none.

        Raises:
            RegistryError: The store can't be read.
            MissingToolError: The URL needs a package that is not installed.
        """
        return sum(self.location(folder).sizes().values())

    def is_in_progress(self, folder: Path) -> bool:
        """Say whether a process may be uploading `folder` now."""
        return self.has_mark(folder) and self.location(folder.parent).age_s(f"{folder.name}{_MARK}") < GIVEN_UP_S

    def has_mark(self, folder: Path) -> bool:
        """Say whether the copy of `folder` is marked, by a process that is at work or by one that was killed."""
        return f"{folder.name}{_MARK}" in self.location(folder.parent).sizes()

    def _upload(self, folder: Path, manifest: Manifest) -> None:
        """Upload a folder whole, or none of it."""
        try:
            manifest.store(folder, self.location(folder))
        except NacreError:
            with suppress(NacreError):
                self.remove(folder)
            raise

    def _present(self, folder: Path) -> Location:
        location = self.location(folder)
        if not location.exists():
            raise self._damage(f"'{location}' is missing: run 'nacre registry share' on a machine that has it")
        return location

    @contextmanager
    def _staging(self, folder: Path) -> Iterator[Path]:
        """Yield an empty folder to fetch into, to one process at a time; what a killed one left in its place goes."""
        fetching = self._root.parent / "fetching"
        fetching.mkdir(parents=True, exist_ok=True)
        with locked(fetching):
            for left in fetching.iterdir():
                remove_folder(left)
            staging = fetching / folder.name
            staging.mkdir()
            try:
                yield staging
            finally:
                remove_folder(staging)
