"""What `--model` takes everywhere: a package folder, `NAME`, `NAME:VERSION` or `NAME@ALIAS`, or a shipped name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from codec.errors import PackageError, UnknownModelError
from registry.registry import Registry
from registry.shipped import shipped_package, shipped_packages
from registry.version import ModelVersion


@dataclass(frozen=True)
class FoundPackage:
    """A package's directory, and the registered version that it is; None for a folder."""

    directory: Path
    version: ModelVersion | None


def resolve_package(text: str) -> Path:
    """Return the directory of what `find_package` finds.

    Raises:
        PackageError: As `find_package`.
        UnknownModelError: As `find_package`.
    """
    return find_package(text).directory


def find_package(text: str) -> FoundPackage:
    """Find a package: the folder `text`, the verified one of the registered model `text`, or the one shipped as `text`.

    A text with a path separator is always a folder; one without is a folder only if a package lies there. A registered
    model comes before a shipped one of its name. The files of a folder are not verified here: loading it does that.

    Raises:
        PackageError: The folder doesn't exist, or a file of the registered model is missing or altered.
        UnknownModelError: There is neither such a folder nor such a model; the message says what exists.
    """
    folder = Path(text).expanduser()
    if os.sep in text:
        if not folder.is_dir():
            raise PackageError(f"there is no package folder '{text}'")
        return FoundPackage(folder, None)
    if (folder / "SHA256SUMS").is_file():
        return FoundPackage(folder, None)
    try:
        version = Registry.open().resolve(text)
    except UnknownModelError as error:
        if shipped := shipped_package(text):
            return FoundPackage(shipped, None)
        if folder.is_dir():
            raise UnknownModelError(f"{error}; the folder '{text}' is not a package") from None
        raise
    return FoundPackage(version.directory, version)


def find_maker(short_fingerprint: bytes) -> FoundPackage | None:
    """Find the package that made a container: a shipped one, or any version in the registry; None if none did.

    Raises:
        PackageError: A file of that version is missing or altered.
    """
    from codec.package import open_package  # it loads NumPy, which listing and promoting should not wait for

    for directory in shipped_packages():
        if open_package(directory).short_fingerprint == short_fingerprint:
            return FoundPackage(directory, None)
    version = Registry.open().find_maker(short_fingerprint)
    return None if version is None else find_package(str(version))
