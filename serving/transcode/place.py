"""A folder at a path or any fsspec URL (`s3://bucket/prefix`): files in and out by name, each whole or absent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from codec.errors import DataError, MissingToolError
from codec.files import TEMPORARY_PREFIX, atomic_path
from codec.transport import reason_of, transport_errors, without_password

# Of a remote file that is read from its beginning.
READ_AHEAD_BYTES = 1 << 20


class Place(Protocol):
    """Names are relative, with `/`. What is missing or can't be written raises OSError, or DataError for a URL."""

    def sizes(self, *, under: str = "", skip: str = "") -> Iterator[tuple[str, int]]:
        """Yield each file's name and bytes, but for a folder called `skip` at the top, and what a kill left."""
        ...

    def locate(self, name: str) -> str:
        """Return a file's path or URL."""
        ...

    def size(self, name: str) -> int | None:
        """Return a file's bytes; None where there is none."""
        ...

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        ...

    @contextmanager
    def writing(self, name: str, scratch: Path) -> Iterator[Path]:
        """Yield a path of this machine; what is written there becomes the file when the block ends well."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file, or all in a folder, if it is there."""
        ...

    def clean(self, names: Iterable[str]) -> None:
        """Remove what a kill left of writing the files called so."""
        ...


def is_url(text: str) -> bool:
    """Tell a URL from a local path."""
    return "://" in text


def open_place(text: str) -> Place:
    """Return the folder at a path or URL; it may not exist yet.

    Raises:
        DataError: The URL can't be opened.
        MissingToolError: The URL needs a package that is not installed.
    """
    if not is_url(text):
        return LocalPlace(Path(text))
    file_system, root = open_url(text)
    local = Path(root) if type(file_system).__name__ == "LocalFileSystem" else None
    return RemotePlace(text) if local is None else LocalPlace(local)


@dataclass(frozen=True)
class LocalPlace:
    """A folder of this machine's."""

    root: Path

    def sizes(self, *, under: str = "", skip: str = "") -> Iterator[tuple[str, int]]:
        """As `Place.sizes`."""
        top = self.root / under
        for folder, folders, names in os.walk(top):
            if Path(folder) == top and skip in folders:
                folders.remove(skip)
            for name in names:
                if not name.startswith(TEMPORARY_PREFIX):
                    path = Path(folder, name)
                    with suppress(OSError):
                        yield path.relative_to(self.root).as_posix(), path.stat().st_size

    def locate(self, name: str) -> str:
        """As `Place.locate`."""
        return str(self.root / name)

    def size(self, name: str) -> int | None:
        """As `Place.size`."""
        try:
            return (self.root / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, name: str) -> bytes:
        """As `Place.read`."""
        return (self.root / name).read_bytes()

    @contextmanager
    def writing(self, name: str, scratch: Path) -> Iterator[Path]:
        """As `Place.writing`; it is written beside where it belongs."""
        with atomic_path(self.root / name) as temporary:
            yield temporary

    def remove(self, name: str) -> None:
        """As `Place.remove`."""
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def clean(self, names: Iterable[str]) -> None:
        """As `Place.clean`."""
        folders: dict[Path, list[str]] = {}
        for name in names:
            folders.setdefault((self.root / name).parent, []).append(Path(name).name)
        for folder, wanted in folders.items():
            if folder.is_dir():
                for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
                    if path.name.endswith(tuple(f"-{name}" for name in wanted)):
                        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class RemotePlace:
    """A folder of an object store or another machine; a file there appears whole by the store's own doing."""

    url: str

    def sizes(self, *, under: str = "", skip: str = "") -> Iterator[tuple[str, int]]:
        """As `Place.sizes`."""
        file_system, root = open_url(self.url)
        top = f"{root}/{under}".rstrip("/")
        with explained("listed", self.url):
            for folder, folders, files in file_system.walk(top, detail=True):
                if folder.rstrip("/") == top:
                    folders.pop(skip, None)
                for info in files.values():
                    yield info["name"].removeprefix(f"{root}/"), int(info["size"] or 0)

    def locate(self, name: str) -> str:
        """As `Place.locate`."""
        return f"{self.url.rstrip('/')}/{name}"

    def size(self, name: str) -> int | None:
        """As `Place.size`."""
        file_system, root = open_url(self.url)
        with explained("read", f"{self.url}/{name}"):
            try:
                return int(file_system.info(f"{root}/{name}")["size"])
            except FileNotFoundError:
                return None

    def read(self, name: str) -> bytes:
        """As `Place.read`."""
        file_system, root = open_url(self.url)
        with explained("read", f"{self.url}/{name}"):
            data: bytes = file_system.cat_file(f"{root}/{name}")
            return data

    @contextmanager
    def writing(self, name: str, scratch: Path) -> Iterator[Path]:
        """As `Place.writing`; it is written in `scratch`, then sent."""
        with scratch_path(scratch, Path(name).name) as path:
            yield path
            file_system, root = open_url(self.url)
            with explained("written", f"{self.url}/{name}"):
                if type(file_system).__name__ == "MemoryFileSystem":  # it has folders, unlike stores
                    file_system.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
                file_system.put_file(str(path), f"{root}/{name}")

    def remove(self, name: str) -> None:
        """As `Place.remove`."""
        file_system, root = open_url(self.url)
        with explained("removed", f"{self.url}/{name}"), suppress(FileNotFoundError):
            file_system.rm(f"{root}/{name}", recursive=True)

    def clean(self, names: Iterable[str]) -> None:
        """As `Place.clean`; nothing is left here."""


@contextmanager
def scratch_path(scratch: Path, name: str) -> Iterator[Path]:
    """Yield a new path in the folder `scratch`, with the suffix of `name`; the file is removed at the end."""
    import tempfile

    scratch.mkdir(parents=True, exist_ok=True)
    descriptor, path = tempfile.mkstemp(suffix=Path(name).suffix, dir=scratch)
    os.close(descriptor)
    try:
        yield Path(path)
    finally:
        Path(path).unlink(missing_ok=True)


def open_url(url: str) -> tuple[Any, str]:
    """Return a URL's file system, which keeps no listings, and the path there.

    Raises:
        DataError: There is no such kind of URL.
        MissingToolError: It needs a package that is not installed.
    """
    import fsspec

    try:
        file_system, root = fsspec.core.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise MissingToolError(
            f"'{without_password(url)}' needs a package: {error} (s3: pip install 'nacre[s3]')"
        ) from None
    except ValueError as error:
        raise DataError(f"'{without_password(url)}' can't be opened: {error}") from None
    return file_system, root.rstrip("/")


@contextmanager
def open_file(url: str, block_bytes: int = READ_AHEAD_BYTES) -> Iterator[BinaryIO]:
    """Yield the file at a path or URL, open to read and seek.

    Raises:
        DataError: It can't be read.
    """
    if not is_url(url):
        try:
            file = Path(url).open("rb")  # noqa: SIM115  # it is closed below
        except OSError as error:
            raise DataError(f"'{url}' can't be read: {error.strerror}") from None
        with file:
            yield file
        return
    file_system, path = open_url(url)
    with explained("read", url), file_system.open(path, "rb", block_size=block_bytes) as remote:
        yield remote


@contextmanager
def explained(done: str, url: str) -> Iterator[None]:
    """Turn what a file system raises into one sentence: `url` can't be `done`.

    Raises:
        DataError: It raised.
    """
    shown = without_password(url)
    try:
        yield
    except PermissionError as error:
        raise DataError(f"'{shown}' can't be {done} ({reason_of(error)}): check your rights to it") from None
    except transport_errors(NotImplementedError) as error:
        raise DataError(f"'{shown}' can't be {done} ({reason_of(error)})") from None
