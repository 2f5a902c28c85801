"""This machine's folders of one kind, packages or reports: what shared_store.py is for all machines."""

from __future__ import annotations

from pathlib import Path

from registry.storage import folders, unfinished


class LocalStore:
    """The folders under `root`; `parents` is the pattern of what they lie in."""

    def __init__(self, root: Path, parents: str) -> None:
        self._root = root
        self._parents = parents

    def folders(self) -> set[Path]:
        """Return every folder of ours, with a row or without; BentoML's own models are left out."""
        return {folder for parent in self._root.glob(self._parents) for folder in unfinished.folders_in(parent)}

    def address(self, folder: Path) -> str:
        """Return how a message names `folder`."""
        return str(folder)

    def size_bytes(self, folder: Path) -> int:
        """Return the bytes of all files in `folder`; 0 if it isn't there."""
        return folders.size_bytes(folder)

    def is_in_progress(self, folder: Path) -> bool:
        """Say whether a process is storing `folder` now."""
        return unfinished.is_in_progress(folder)

    def has_mark(self, folder: Path) -> bool:
        """Say whether `folder` is marked, by a process that is at work or by one that was killed."""
        return unfinished.has_mark(folder)

    def remove(self, folder: Path) -> None:
        """Remove `folder`, whole or half, or all in it, and its mark, if they are there."""
        folders.remove_folder(folder)
        unfinished.remove_mark(folder)
