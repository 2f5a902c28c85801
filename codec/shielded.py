"""A file for libsndfile's callbacks: an exception in one would be printed, forgotten and taken for the end."""

from __future__ import annotations

import contextlib
from typing import BinaryIO


class Shielded:
    """Reads a file without raising: it ends where it can't be read, and `error` says why; None if all went well.

    A seek before its beginning, as damaged audio asks for, goes there.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.error: Exception | None = None
        self._file = file

    def read(self, count: int) -> bytes:
        """Return the next bytes; none from the first error on."""
        if self.error is None:
            try:
                return self._file.read(count)
            except Exception as error:  # whatever it is, it must not get into C
                self.error = error
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place, and return it."""
        try:
            return self._file.seek(offset, whence)
        except (ValueError, OSError):
            with contextlib.suppress(ValueError, OSError):
                return self._file.seek(0)
        return 0

    def tell(self) -> int:
        """Return the place; the beginning if there is none any more."""
        try:
            return self._file.tell()
        except (ValueError, OSError):
            return 0
