"""Folders in the store whose row is not committed yet: each has a mark beside it, FOLDER.unfinished.

The process that stores a folder holds its mark locked, from before the first file until the row is committed. So a
mark that nobody holds was a killed process's, and its folder is either named by a row by now or never will be.
A folder with neither row nor mark is another matter: a registry with another database may share the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from codec.errors import RegistryError
from codec.files import TEMPORARY_PREFIX, sync_directory
from codec.locking import is_locked, locked
from registry.storage.folders import is_folder_name

_SUFFIX = ".unfinished"


@contextmanager
def unfinished(folder: Path) -> Iterator[None]:
    """Mark `folder` until the block ends well; should it fail, the mark stays as long as there is a folder.

    Raises:
        RegistryError: There is no space or no permission.
    """
    mark, done = _mark(folder), False
    with ExitStack() as stack:
        try:
            _make_locked(mark, stack)
        except OSError as error:
            raise RegistryError(f"can't store anything in '{mark.parent}': {error}") from error
        try:
            yield
            done = True
        finally:
            if done or not folder.exists():
                remove_mark(folder)


def is_in_progress(folder: Path) -> bool:
    """Say whether a process is storing `folder` now."""
    return is_locked(_mark(folder))


def has_mark(folder: Path) -> bool:
    """Say whether `folder` is marked, by a process that is at work or by one that was killed."""
    return _mark(folder).exists()


def remove_mark(folder: Path) -> None:
    """Remove the mark of `folder`, if it has one and it can be."""
    with suppress(OSError):
        _mark(folder).unlink()


def folders_in(parent: Path) -> set[Path]:
    """Return the store's folders in `parent`, those included of which there is no more than the mark."""
    if not parent.is_dir():
        return set()
    found = (path.with_name(path.name.removesuffix(_SUFFIX)) for path in parent.iterdir())
    return {folder for folder in found if is_folder_name(folder.name)}


def _make_locked(mark: Path, stack: ExitStack) -> None:
    """Make a mark that nobody ever sees unlocked, until `stack` is closed."""
    temporary = mark.with_name(f"{TEMPORARY_PREFIX}{mark.name}")
    mark.parent.mkdir(parents=True, exist_ok=True)
    stack.enter_context(locked(temporary))
    temporary.rename(mark)
    sync_directory(mark.parent)


def _mark(folder: Path) -> Path:
    return folder.with_name(folder.name + _SUFFIX)
