"""Upkeep of the registry: collecting what nobody points to (gc), and what fsck finds beyond altered files.

Rows go before files: a process killed between leaves folders that no row names, which fsck finds.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from codec.errors import RegistryError
from registry import collection
from registry.database import AliasRow, Database, VersionRow
from registry.leftovers import Leftover, find_leftovers, remove_leftovers
from registry.lookup import check_name
from registry.storage.folders import size_bytes
from registry.storage.report_store import ReportStore
from registry.storage.store import PackageStore
from registry.version import Collected


class Upkeep:
    """What keeps a registry clean; each method sees the database and the store as they are now."""

    def __init__(self, database: Database, packages: PackageStore, reports: ReportStore) -> None:
        self._database = database
        self._packages = packages
        self._reports = reports

    @classmethod
    def open(cls) -> Upkeep:
        """Open the registry of NACRE_HOME and BENTOML_HOME, making an empty one if there is none.

        Raises:
            RegistryError: The database can't be opened.
        """
        return cls(Database.open(), PackageStore(), ReportStore())

    def collectable(self, keep: int, name: str | None = None) -> list[Collected]:
        """Return what `collect` would take away now.

        Raises:
            UnknownModelError: There is no such name.
        """
        with self._database.read() as session:
            return [self._measured(row) for row in self._rows(session, keep, name)]

    def collect(self, keep: int, name: str | None = None, *, why: str = "") -> list[Collected]:
        """Take away what no alias points to, nor would after one rollback, of `name` or of all, but the newest `keep`.

        Raises:
            UnknownModelError: There is no such name.
            RegistryError: Files can't be removed, here or from the shared store; their versions are gone.
            MissingToolError: The shared store needs a package that is not installed.
        """
        with self._database.write() as session:
            rows = self._rows(session, keep, name)
            collected, tags = [self._measured(row) for row in rows], [row.store_tag for row in rows]
            for row in rows:
                collection.remove(session, row, why)
        for version, tag in zip(collected, tags, strict=True):
            self._packages.remove(tag)
            self._reports.remove_all(version.name, version.version)
        if stuck := [tag for tag in tags if self._packages.directory(tag).exists()]:
            raise RegistryError(
                f"'{self._packages.directory(stuck[0])}' can't be removed, though its version is collected: "
                "see who owns it, then run 'nacre registry fsck --repair'"
            )
        return collected

    def leftovers(self) -> list[Leftover]:
        """Return the folders in the store that no row names, but those that are being stored."""
        with self._database.read() as session:
            return find_leftovers(session, self._packages, self._reports)

    def remove_leftovers(self) -> list[Leftover]:
        """Remove the leftovers that can go; return those that went."""
        # A writer's transaction, as it waits for others: one whose process was killed may just be committing.
        with self._database.write() as session:
            leftovers = find_leftovers(session, self._packages, self._reports)
        return remove_leftovers(leftovers)

    def lost_aliases(self) -> list[str]:
        """Return the aliases that point to no version, as only a damaged database has them: `NAME@ALIAS -> VERSION`."""
        here = (VersionRow.name == AliasRow.name) & (VersionRow.version == AliasRow.version)
        lost = sa.select(AliasRow).where(~sa.exists().where(here)).order_by(AliasRow.name, AliasRow.alias)
        with self._database.read() as session:
            return [f"{row.name}@{row.alias} -> {row.version}" for row in session.scalars(lost)]

    def _rows(self, session: Session, keep: int, name: str | None) -> list[VersionRow]:
        assert keep >= 1, "the newest version holds the place of its number"
        if name is not None:
            check_name(session, name)
        return collection.collectable(session, keep, name)

    def _measured(self, row: VersionRow) -> Collected:
        folders = self._packages.directory(row.store_tag), self._reports.of_version(row.name, row.version)
        return Collected(
            name=row.name,
            version=row.version,
            created=row.created,
            note=row.note,
            size_bytes=sum(map(size_bytes, folders)),
        )
