"""What `--model` takes everywhere: a package folder, `NAME`, `NAME:VERSION` or `NAME@ALIAS`."""

from __future__ import annotations

import os
from pathlib import Path

from codec.errors import PackageError, UnknownModelError
from registry.registry import Registry


def resolve_package(text: str) -> Path:
    """Return a package's directory: the folder `text`, or the verified one of the registered model `text`.

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
        return folder
    if (folder / "SHA256SUMS").is_file():
        return folder
    try:
        return Registry.open().resolve(text).directory
    except UnknownModelError as error:
        if folder.is_dir():
            raise UnknownModelError(f"{error}; the folder '{text}' is not a package") from None
        raise
