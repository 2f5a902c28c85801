"""A folder at a path or any fsspec URL (`s3://bucket/prefix`): its files, by name, in and out, hashed on the way.

It holds only the URL and opens the file system where it is used. Listings are never kept: other machines write too.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from codec.errors import MissingToolError, RegistryError
from codec.files import atomic_path, write_bytes
from codec.transport import reason_of, transport_errors, without_password

_BLOCK_BYTES = 8 << 20


@dataclass(frozen=True)
class Location:
    """A folder; it may not exist yet, and an object store has none before their files."""

    url: str

    def __str__(self) -> str:
        return without_password(self.url)

    def __truediv__(self, name: str) -> Location:
        return Location(f"{self.url.rstrip('/')}/{name}")

    @property
    def path(self) -> Path | None:
        """The path of a local folder, None for any other."""
        from fsspec.implementations.local import LocalFileSystem

        file_system, root = self._open()
        return Path(root) if isinstance(file_system, LocalFileSystem) else None

    def exists(self) -> bool:
        """Say whether anything is there.

        Raises:
            RegistryError: It can't be read.
            MissingToolError: The URL needs a package that is not installed.
        """
        file_system, root = self._open()
        with self._explained("read"):
            return bool(file_system.exists(root))

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each file by name, without those in folders of this one; of what isn't there none.

        Raises:
            RegistryError: It can't be read.
            MissingToolError: The URL needs a package that is not installed.
        """
        found = {name: entry for name, entry in self._entries().items() if entry["type"] == "file"}
        return {name: int(entry["size"] or 0) for name, entry in found.items()}

    def walk(self) -> list[str]:
        """Return the names of all files, those in folders of this one too, as `folder/name`.

        Raises:
            RegistryError: It can't be read.
            MissingToolError: The URL needs a package that is not installed.
        """
        file_system, root = self._open()
        with self._explained("read"):
            return sorted(path.removeprefix(f"{root}/") for path in file_system.find(root))

    def age_s(self, name: str) -> float:
        """Return for how many seconds a file has been as it is, by the clock of the file system.

        Raises:
            RegistryError: It is not there, or can't be read.
            MissingToolError: The URL needs a package that is not installed.
        """
        file_system, root = self._open()
        with self._explained("read", name):
            modified: datetime = file_system.modified(f"{root}/{name}")
        return (datetime.now(UTC) - modified.replace(tzinfo=modified.tzinfo or UTC)).total_seconds()

    def read(self, name: str, most_bytes: int) -> bytes:
        """Return a small file's content.

        Raises:
            RegistryError: It is not there, larger, or can't be read.
            MissingToolError: The URL needs a package that is not installed.
        """
        return b"".join(self._blocks(name, most_bytes))

    def hash(self, name: str, most_bytes: int) -> str:
        """Return the SHA-256 of a file, reading all of it.

        Raises:
            RegistryError: It is not there, larger, or can't be read.
            MissingToolError: The URL needs a package that is not installed.
        """
        digest = hashlib.sha256()
        for block in self._blocks(name, most_bytes):
            digest.update(block)
        return digest.hexdigest()

    def fetch(self, name: str, path: Path, most_bytes: int) -> str:
        """Write a file to the local `path` and return its SHA-256.

        Raises:
            RegistryError: It is not there, larger, or can't be read, or not be written here.
            MissingToolError: The URL needs a package that is not installed.
        """
        digest = hashlib.sha256()
        try:
            with path.open("wb") as file:
                for block in self._blocks(name, most_bytes):
                    digest.update(block)
                    file.write(block)
        except OSError as error:
            raise RegistryError(f"'{self / name}' can't be written to '{path}' ({error.strerror})") from error
        return digest.hexdigest()

    def store(self, name: str, path: Path) -> None:
        """Write the local file `path` here; on a disk atomically, and flushed.

        Raises:
            RegistryError: It can't be written.
            MissingToolError: The URL needs a package that is not installed.
        """
        local = self.path
        file_system, root = self._open()
        with self._explained("written", name):
            if local is None:
                file_system.put_file(str(path), f"{root}/{name}")
                return
            with atomic_path(local / name) as temporary:
                shutil.copyfile(path, temporary)

    def write(self, name: str, data: bytes) -> None:
        """Write a small file, as `store`.

        Raises:
            RegistryError: It can't be written.
            MissingToolError: The URL needs a package that is not installed.
        """
        local = self.path
        file_system, root = self._open()
        with self._explained("written", name):
            if local is None:
                file_system.pipe_file(f"{root}/{name}", data)
            else:
                write_bytes(local / name, data)

    def remove(self, name: str = "") -> None:
        """Remove a file or folder of this one, or all of this one, if it is there.

        Raises:
            RegistryError: It can't be removed.
            MissingToolError: The URL needs a package that is not installed.
        """
        file_system, root = self._open()
        with self._explained("removed", name), suppress(FileNotFoundError):
            file_system.rm(f"{root}/{name}".rstrip("/"), recursive=True)

    def _entries(self) -> dict[str, dict[str, Any]]:
        file_system, root = self._open()
        with self._explained("read"):
            try:
                entries = file_system.ls(root, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return {}
        prefix = f"{root}/"
        inside = {entry["name"].rstrip("/"): entry for entry in entries}
        return {path.removeprefix(prefix): entry for path, entry in inside.items() if path.startswith(prefix)}

    def _blocks(self, name: str, most_bytes: int) -> Iterator[bytes]:
        file_system, root = self._open()
        taken = 0
        with self._explained("read", name), file_system.open(f"{root}/{name}", "rb", block_size=_BLOCK_BYTES) as file:
            while block := file.read(_BLOCK_BYTES):
                taken += len(block)
                if taken > most_bytes:
                    raise RegistryError(f"'{self / name}' is larger than {most_bytes:,} bytes")
                yield block

    def _open(self) -> tuple[Any, str]:
        import fsspec  # it takes a moment, and most of the registry needs no more than this machine's disk

        try:
            file_system, root = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            raise MissingToolError(f"'{self}' can't be opened: {error} (for s3: pip install 'nacre[s3]')") from None
        except ValueError as error:
            raise RegistryError(f"'{self}' can't be opened: {error}") from None
        return file_system, root.rstrip("/")

    @contextmanager
    def _explained(self, done: str, name: str = "") -> Iterator[None]:
        """Turn what a file system raises into one sentence: the file can't be `done`."""
        where = f"'{self / name if name else self}'"
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            reason = "is not there" if done == "read" else f"can't be {done} ({reason_of(error)})"
            raise RegistryError(f"{where} {reason}") from None
        except PermissionError as error:
            raise RegistryError(f"{where} can't be {done} ({reason_of(error)}): check your rights to it") from None
        except transport_errors(NotImplementedError) as error:
            raise RegistryError(f"{where} can't be {done} ({reason_of(error)})") from None
