"""Take chosen files out of archives that are not trusted: tar streams and zip files (`.pk3`).

Every name must stay inside the target folder, only plain files are written (links, devices and modes are dropped),
and sizes are counted while copying, whatever the archive says of itself.
"""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from codec.errors import DataError

BLOCK_BYTES = 1 << 20

Chooser = Callable[[str], str | None]
"""Given a member's name, tell the relative name to write it under, or None to leave it."""


@dataclass(kw_only=True)
class Extractor:
    """Writes members under `target` and counts their bytes.

    Attributes:
        target: The folder written to.
        max_member_bytes: The largest member that is written.
        max_total_bytes: The most that is written in all.
        names: The relative names written so far, in order.
    """

    target: Path
    max_member_bytes: int = 1 << 30
    max_total_bytes: int = 8 << 30
    names: list[str] = field(default_factory=list)
    total_bytes: int = 0

    def extract_tar(self, stream: IO[bytes], choose: Chooser) -> None:
        """Write the chosen plain files of a tar stream.

        Raises:
            DataError: The stream is no tar, is cut, or has a member that leaves the folder or is too large.
        """
        try:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    name = choose(member.name.removeprefix("./")) if member.isreg() else None
                    if name is None:
                        continue
                    checked = tarfile.data_filter(
                        member.replace(name=str(self._inside(name)), deep=False), str(self.target)
                    )
                    content = archive.extractfile(member)
                    assert content is not None  # plain files have content
                    self._write(checked.name, content)
        except (tarfile.TarError, EOFError) as error:
            raise DataError(f"the package's files can't be read: {error}") from None

    def extract_zip(self, path: Path, choose: Chooser) -> None:
        """Write the chosen plain files of a zip file.

        Raises:
            DataError: It is no zip, is damaged, or has a member that leaves the folder or is too large.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    self._inside(member.filename)
                    name = None if member.is_dir() or _is_special(member) else choose(member.filename)
                    if name is None:
                        continue
                    with archive.open(member) as content:
                        self._write(str(self._inside(name)), content)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"'{path.name}' can't be read as a zip: {error}") from None

    def _inside(self, name: str) -> PurePosixPath:
        """Return `name` as a path, having checked that it stays inside the folder."""
        path = PurePosixPath(name)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
            raise DataError(f"an archive holds the name {name!r}, which leaves its folder: refused")
        return path

    def _write(self, name: str, content: IO[bytes]) -> None:
        path = self.target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with path.open("wb") as file:
            while block := content.read(BLOCK_BYTES):
                written += len(block)
                self.total_bytes += len(block)
                if written > self.max_member_bytes or self.total_bytes > self.max_total_bytes:
                    raise DataError(
                        f"'{name}' in an archive is larger than allowed "
                        f"({self.max_member_bytes} bytes a file, {self.max_total_bytes} in all): refused"
                    )
                file.write(block)
        self.names.append(name)


def _is_special(member: zipfile.ZipInfo) -> bool:
    """Tell whether a zip member is a link or a device: its Unix mode says so in the upper half."""
    mode = member.external_attr >> 16
    return stat.S_IFMT(mode) not in (0, stat.S_IFREG)
