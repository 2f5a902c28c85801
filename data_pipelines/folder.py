"""A data folder: a local directory or any fsspec URL (`s3://bucket/data`, `memory://data`), read-only.

It holds only the URL and opens the file system where it is used, so it can travel to forked and spawned workers.
"""

from __future__ import annotations

from dataclasses import dataclass

import fsspec

from codec.errors import DataError, MissingToolError


@dataclass(frozen=True)
class DataFolder:
    """The files of one data set."""

    url: str

    def read(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            DataError: It is missing or can't be read.
            MissingToolError: The URL needs a package that is not installed.
        """
        file_system, root = self._open()
        try:
            return bytes(file_system.cat_file(f"{root}/{name}"))
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(f"'{self.url}' holds no {name}: give a folder made by 'nacre data build'") from None
        except OSError as error:
            raise DataError(f"{name} in '{self.url}' can't be read ({error})") from None

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
            raise MissingToolError(f"'{self.url}' can't be opened: {error} (for s3: pip install 'nacre[s3]')") from None
        except ValueError as error:
            raise DataError(f"'{self.url}' can't be opened: {error}") from None
        return file_system, root.rstrip("/")
