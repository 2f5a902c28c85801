"""What `--model` takes everywhere: a package folder, `NAME`, `NAME:VERSION` or `NAME@ALIAS`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from codec.errors import PackageError, UnknownModelError
from registry.registry import Registry
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
    """Find a package: the folder `text`, or the verified one of the registered model `text`.

    A text with a path separator is always a folder; one without is a folder only if a package lies there. The files of
    a folder are not verified here: loading it does that.

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
        if folder.is_dir():
            raise UnknownModelError(f"{error}; the folder '{text}' is not a package") from None
        raise
    return FoundPackage(version.directory, version)
