"""A data folder: a local directory or any fsspec URL (`s3://bucket/data`, `https://host/data`), read-only.

It holds only the URL and opens the file system where it is used, so it can travel to forked and spawned workers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from codec.errors import DamageError, DataError, MissingToolError
from data_pipelines.retries import with_retries

LOCAL_FILE_SYSTEMS = (LocalFileSystem, MemoryFileSystem)


@dataclass(frozen=True)
class DataFolder:
    """The files of one data set."""

    url: str

    def read(self, name: str, check: Callable[[bytes], None] = lambda data: None) -> bytes:
        """Return a file's bytes, once `check` has passed them.

        What comes over a network is fetched again where that failed, or where `check` raised a DamageError.

        Raises:
            DamageError: The file is missing or broken, or `check` says so.
            DataError: It can't be reached, or not be read by this user.
            MissingToolError: The URL needs a package that is not installed.
        """
        file_system, root = self._open()
        local = isinstance(file_system, LOCAL_FILE_SYSTEMS)

        def fetch() -> bytes:
            data = bytes(file_system.cat_file(f"{root}/{name}"))
            check(data)
            return data

        where = f"{name} in '{self.url}'"
        try:
            return fetch() if local else with_retries(fetch, where)
        except (FileNotFoundError, NotADirectoryError):
            raise DamageError(f"'{self.url}' holds no {name}: give a folder made by 'nacre data build'") from None
        except PermissionError as error:
            raise DataError(f"{where} can't be read ({error}): check your rights to it") from None
        except OSError as error:
            raise DamageError(f"{where} can't be read ({error})") from None

    @property
    def is_local(self) -> bool:
        """Whether reading needs no network."""
        return isinstance(self._open()[0], LOCAL_FILE_SYSTEMS)

    def local_path(self, name: str) -> Path | None:
        """Return a file's path, None if it is not on a local disk."""
        file_system, root = self._open()
        return Path(root) / name if isinstance(file_system, LocalFileSystem) else None

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes, or None if it is missing."""
        file_system, root = self._open()
        try:
            return int(file_system.size(f"{root}/{name}"))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _open(self) -> tuple[fsspec.AbstractFileSystem, str]:
        try:
            file_system, root = fsspec.core.url_to_fs(self.url)
        except ImportError as error:
            remedy = "for s3 and http: pip install 'nacre[s3]'"
            raise MissingToolError(f"'{self.url}' can't be opened: {error} ({remedy})") from None
        except ValueError as error:
            raise DataError(f"'{self.url}' can't be opened: {error}") from None
        return file_system, root.rstrip("/")
