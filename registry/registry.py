"""The registry: register, list, show, attach, promote, rollback, resolve, verify.

Order of registration: verify the package, store a copy, hash the copy, then commit the row that makes it a version.
A process killed anywhere leaves a version whole or absent; what it may leave in the store is invisible.
Reports are attached in the same order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Session

from codec.errors import PackageError, RegistryError, UnknownModelError
from registry import aliases, reports
from registry.card import find_card
from registry.database import AliasRow, Database, VersionRow
from registry.lookup import find_version
from registry.reference import ModelReference, check_word
from registry.storage.report_store import ReportStore
from registry.storage.store import PackageStore
from registry.version import AliasChange, Attachment, ModelVersion, Registration, Report, Verification
from registry.witness import now, who

if TYPE_CHECKING:
    from codec.package import Package


class Registry:
    """Registered packages; each method sees the database as it is now."""

    def __init__(self, database: Database, store: PackageStore) -> None:
        self._database = database
        self._store = store
        self._reports = ReportStore()

    @classmethod
    def open(cls) -> Registry:
        """Open the registry of NACRE_HOME and BENTOML_HOME, making an empty one if there is none.

        Raises:
            RegistryError: The database can't be opened.
        """
        return cls(Database.open(), PackageStore())

    def register(self, directory: Path, name: str, *, note: str = "") -> ModelVersion:
        """Register the package in `directory` as the next version of `name`, unless it is a version of it already.

        Raises:
            PackageError: The package is incomplete or altered.
            RegistryError: `name` can't be a name, or the package can't be stored.
        """
        return self.register_or_find(directory, name, note=note).version

    def register_or_find(self, directory: Path, name: str, *, note: str = "") -> Registration:
        """As `register`, and say whether the version is new.

        Raises:
            PackageError: The package is incomplete or altered.
            RegistryError: `name` can't be a name, or the package can't be stored.
        """
        from codec.package import open_package  # it loads NumPy, which listing and promoting should not wait for

        check_word(name, "name")
        package = open_package(directory)
        with self._database.read() as session:
            if existing := self._same_package(session, name, package.content_hash):
                return Registration(existing, is_new=False)
        with self._store.adding(package, name) as tag:
            # Should this fail, the files stay: the row may have been committed although the answer was lost.
            with self._database.write() as session:
                registration = self._insert(session, package, name, note, tag)
            if not registration.is_new:
                self._store.remove(tag)
        return registration

    def show(self, reference: str | ModelReference) -> ModelVersion:
        """Return what `reference` means now; its files are not read.

        Raises:
            UnknownModelError: It means nothing; the message says what exists.
        """
        with self._database.read() as session:
            return self._version(session, find_version(session, _parse(reference)))

    def find_maker(self, short_fingerprint: bytes, names: Iterable[str] | None = None) -> ModelVersion | None:
        """Return the version whose fingerprint begins so, as a container says, of one of `names` or any; None if none.

        Its files are not read.
        """
        rows = sa.select(VersionRow).where(VersionRow.fingerprint.startswith(short_fingerprint.hex()))
        if names is not None:
            rows = rows.where(VersionRow.name.in_(sorted(names)))
        rows = rows.order_by(VersionRow.name, VersionRow.version)
        with self._database.read() as session:
            row = session.scalars(rows).first()
            return self._version(session, row) if row else None

    def history(self, name: str) -> tuple[AliasChange, ...]:
        """Return every change of every alias of `name`, oldest first."""
        with self._database.read() as session:
            return aliases.history(session, name)

    def attach(self, reference: str | ModelReference, folder: Path, *, note: str = "") -> Attachment:
        """Keep the report in `folder`, an evaluation's, with the version that it is about, unless it is there already.

        Raises:
            UnknownModelError: `reference` means nothing.
            RegistryError: The folder has no card of that version's package, or a file is missing or too large.
        """
        version = self.show(reference)
        card = find_card(folder, version.content_hash)
        with self._reports.adding(card, version.name, version.version) as stored:
            # Should this fail, the files stay: the row may have been committed although the answer was lost.
            with self._database.write() as session:
                find_version(session, version.reference)  # it may have been collected meanwhile
                attachment = reports.attach(session, version, card, stored, note, self._reports)
            if not attachment.is_new:
                self._reports.remove(stored.place)
        return attachment

    def reports(self, version: ModelVersion) -> tuple[Report, ...]:
        """Return every report of `version`, oldest first."""
        with self._database.read() as session:
            return reports.reports_of(session, version, self._reports)

    def promote(
        self, reference: str | ModelReference, alias: str, *, expect: int | None = None, why: str = ""
    ) -> AliasChange | None:
        """Point `alias` at a version whose files are whole; return the change, None if it points there already.

        With `expect` nothing changes unless the alias points at that version now; 0 means that it must not exist yet.

        Raises:
            UnknownModelError: `reference` means nothing.
            ConflictError: The alias is not where `expect` says.
            PackageError: A file of the version is missing or altered.
        """
        check_word(alias, "alias")
        target = self.resolve(reference)
        with self._database.write() as session:
            find_version(session, target.reference)  # it may have been collected meanwhile
            return aliases.promote(session, target.name, target.version, alias, expect, why)

    def rollback(self, name: str, alias: str, why: str = "") -> AliasChange:
        """Take back the latest promotion that stands: `alias` points where it did before it.

        Raises:
            UnknownModelError: There is no such name or alias, or nothing to go back to, or that was collected.
            ConflictError: The alias was moved meanwhile.
            PackageError: A file of the earlier version is missing or altered.
        """
        reference = ModelReference(name=check_word(name, "name"), alias=check_word(alias, "alias"))
        with self._database.read() as session:
            current = find_version(session, reference).version
            earlier = aliases.earlier_version(session, name, alias)
        if earlier is None:
            raise UnknownModelError(f"'{reference}' has no version before {current} to go back to")
        try:
            self.resolve(ModelReference(name=name, version=earlier))
        except UnknownModelError as error:
            raise UnknownModelError(f"'{reference}' can't go back to version {earlier}: {error}") from None
        with self._database.write() as session:
            return aliases.rollback(session, name, alias, current, earlier, why)

    def resolve(self, reference: str | ModelReference) -> ModelVersion:
        """Return the version that `reference` means, after hashing its files.

        If they aren't here, they are fetched from the store that machines share.

        Raises:
            UnknownModelError: It means nothing; the message says what exists.
            PackageError: A file is missing or altered; the message names it.
            RegistryError: They can't be fetched.
            MissingToolError: The shared store needs a package that is not installed.
        """
        version = self.show(reference)
        with _damage_named(version):
            self._store.get(version.directory, version.content_hash)
        return version

    def fetch_reports(self, version: ModelVersion) -> None:
        """Fetch the reports of `version` that aren't here from the store that machines share, and hash all of them.

        Raises:
            RegistryError: A file of a report is missing or altered; or one can't be fetched.
            MissingToolError: The shared store needs a package that is not installed.
        """
        for report in self.reports(version):
            self._reports.get(report.directory, report.hashes)

    def share(self, version: ModelVersion) -> bool:
        """Upload what is here of `version` and its reports and the shared store lacks; say whether anything was.

        Raises:
            PackageError: A file of the package is missing or altered; the message names it.
            RegistryError: A file of a report is; or they can't be uploaded.
            MissingToolError: The shared store needs a package that is not installed.
        """
        with _damage_named(version):
            done = [version.directory.exists() and self._store.share(version.directory, version.content_hash)]
        here = [report for report in self.reports(version) if report.directory.exists()]
        done += [self._reports.share(report.directory, report.hashes) for report in here]
        return any(done)

    def verify(self, version: ModelVersion) -> None:
        """Hash the files of `version` and of its reports, here and in the store that machines share.

        Raises:
            PackageError: A file of the package is missing or altered; the message names it.
            RegistryError: A file of a report is; or the shared store can't be read.
            MissingToolError: The shared store needs a package that is not installed.
        """
        with _damage_named(version):
            self._store.verify(version.directory, version.content_hash)
        for report in self.reports(version):
            try:
                self._reports.verify(report.directory, report.hashes)
            except RegistryError as error:
                raise RegistryError(f"a report of {version} is damaged: {error}") from None

    def verify_all(self) -> Iterator[Verification]:
        """Hash the files of every version and its reports, in the order of `list`, but of one collected meanwhile."""
        for version in self.list():
            try:
                self.verify(version)
            except (PackageError, RegistryError) as error:
                if self._is_registered(version):
                    yield Verification(version, str(error))
            else:
                yield Verification(version, None)

    def list(self) -> list[ModelVersion]:
        """Return every version, by name, oldest first."""
        with self._database.read() as session:
            rows = session.scalars(sa.select(VersionRow).order_by(VersionRow.name, VersionRow.version))
            return [self._version(session, row) for row in rows]

    def _is_registered(self, version: ModelVersion) -> bool:
        with self._database.read() as session:
            return session.get(VersionRow, (version.name, version.version)) is not None

    def _insert(self, session: Session, package: Package, name: str, note: str, tag: str) -> Registration:
        if existing := self._same_package(session, name, package.content_hash):
            return Registration(existing, is_new=False)
        newest = session.scalar(sa.select(sa.func.max(VersionRow.version)).where(VersionRow.name == name))
        row = VersionRow(
            name=name,
            version=(newest or 0) + 1,
            content_hash=package.content_hash,
            fingerprint=package.fingerprint,
            store_tag=tag,
            created=now(),
            created_by=who(),
            note=note,
            metrics=package.metrics,
            lineage=package.lineage,
        )
        session.add(row)
        session.flush()
        return Registration(self._version(session, row), is_new=True)

    def _same_package(self, session: Session, name: str, content_hash: str) -> ModelVersion | None:
        same = sa.select(VersionRow).where(VersionRow.name == name, VersionRow.content_hash == content_hash)
        row = session.scalar(same)
        return self._version(session, row) if row else None

    def _version(self, session: Session, row: VersionRow) -> ModelVersion:
        here = sa.select(AliasRow.alias).where(AliasRow.name == row.name, AliasRow.version == row.version)
        return ModelVersion(
            name=row.name,
            version=row.version,
            fingerprint=row.fingerprint,
            content_hash=row.content_hash,
            created=row.created,
            created_by=row.created_by,
            note=row.note,
            aliases=tuple(session.scalars(here.order_by(AliasRow.alias))),
            metrics=row.metrics,
            lineage=row.lineage,
            directory=self._store.directory(row.store_tag),
        )


def _parse(reference: str | ModelReference) -> ModelReference:
    return ModelReference.parse(reference) if isinstance(reference, str) else reference


@contextlib.contextmanager
def _damage_named(version: ModelVersion) -> Iterator[None]:
    """Say which version it is that is damaged."""
    try:
        yield
    except PackageError as error:
        raise PackageError(f"{version} is damaged: {error}") from None
