"""Folders in the store that no row names, and what is known of them.

Left by a killed process, which its mark tells, or of a version that was collected: these can go. Of any other nothing
is known: another database may name it, or this one did before it was lost or restored. Such a folder is never removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.orm import Session

from registry.database import RemovalRow, ReportRow, VersionRow
from registry.storage.folders import content_prefix
from registry.storage.report_store import ReportStore
from registry.storage.store import PackageStore

KILLED = "left by a process that was killed"
COLLECTED = "of a version that was collected"
UNKNOWN = "unknown here: another database may name it, so register it, or remove it by hand"


class Side(Protocol):
    """Folders of one kind, packages or reports, on this machine or on all; each is called by its path on this one."""

    def folders(self) -> set[Path]:
        """Return every folder of ours, with a row or without, and those of which there is no more than the mark."""

    def address(self, folder: Path) -> str:
        """Return how a message names `folder`."""

    def size_bytes(self, folder: Path) -> int:
        """Return the bytes of all files in `folder`; 0 if it isn't there."""

    def is_in_progress(self, folder: Path) -> bool:
        """Say whether a process is storing `folder` now."""

    def has_mark(self, folder: Path) -> bool:
        """Say whether `folder` is marked, by a process that is at work or by one that was killed."""

    def remove(self, folder: Path) -> None:
        """Remove `folder` and its mark."""


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A folder on one side that no row names; `origin` is what is known of it."""

    side: Side
    folder: Path
    origin: str
    size_bytes: int

    @property
    def can_go(self) -> bool:
        """Whether nobody can need it."""
        return self.origin != UNKNOWN

    def __str__(self) -> str:
        return self.side.address(self.folder)


def find_leftovers(session: Session, packages: PackageStore, reports: ReportStore) -> list[Leftover]:
    """Return every folder that no row names and no process is storing: packages first, by path.

    Raises:
        RegistryError: The shared store can't be read.
        MissingToolError: The shared store needs a package that is not installed.
    """
    # Rows are read last: what was being stored at the look before them is left out, and what wasn't has its row by now.
    in_packages, in_reports = _settled(packages.sides), _settled(reports.sides)
    tags, places = session.scalars(sa.select(VersionRow.store_tag)), session.scalars(sa.select(ReportRow.place))
    removals = session.execute(sa.select(RemovalRow.name, RemovalRow.version, RemovalRow.content_hash)).all()
    contents = {(name, content_prefix(content_hash)) for name, _, content_hash in removals}
    numbers = {(name, str(version)) for name, version, _ in removals}
    return [
        *_unnamed(in_packages, {packages.directory(tag) for tag in tags}, contents, _name_and_content),
        *_unnamed(in_reports, {reports.directory(place) for place in places}, numbers, _name_and_version),
    ]


def remove_leftovers(leftovers: Iterable[Leftover]) -> list[Leftover]:
    """Remove those that can go, with their marks; return those that went.

    Raises:
        RegistryError: One can't be removed from the shared store.
        MissingToolError: The shared store needs a package that is not installed.
    """
    nobodys = [leftover for leftover in leftovers if leftover.can_go]
    for leftover in nobodys:
        leftover.side.remove(leftover.folder)
    remaining = {side: side.folders() for side in {leftover.side for leftover in nobodys}}
    return [leftover for leftover in nobodys if leftover.folder not in remaining[leftover.side]]


def _settled(sides: Iterable[Side]) -> list[tuple[Side, Path]]:
    return [(side, folder) for side in sides for folder in sorted(side.folders()) if not side.is_in_progress(folder)]


def _unnamed(
    settled: Iterable[tuple[Side, Path]],
    named: set[Path],
    collected: set[tuple[str, str]],
    key: Callable[[Path], tuple[str, str]],
) -> list[Leftover]:
    return [_leftover(side, folder, key(folder) in collected) for side, folder in settled if folder not in named]


def _leftover(side: Side, folder: Path, was_collected: bool) -> Leftover:
    known = COLLECTED if was_collected else UNKNOWN
    origin = KILLED if side.has_mark(folder) else known
    return Leftover(side=side, folder=folder, origin=origin, size_bytes=side.size_bytes(folder))


def _name_and_content(package: Path) -> tuple[str, str]:
    """Return what the path of a package tells: .../NAME/CONTENT-RANDOM."""
    return package.parent.name, content_prefix(package.name)


def _name_and_version(report: Path) -> tuple[str, str]:
    """Return what the path of a report tells: .../NAME/VERSION/CONTENT-RANDOM."""
    return report.parent.parent.name, report.parent.name
