"""The registry's database: what exists, which alias points where, and who changed it when and why.

    schema_version   one row: the number of the schema that the tables follow
    versions         one row a registered package; a version exists once its row is committed
    aliases          name@alias -> version, now
    alias_history    every change of an alias; rows are only ever added
    reports          one row a report that is kept with a version; rows are only ever added, and go with it
    removals         one row a version that was collected; rows are only ever added

A database of an older schema is migrated when it is opened (migrations/), a newer one is refused.

SQLite in NACRE_HOME/registry.db by default; NACRE_REGISTRY_URL names another file, or a PostgreSQL database.
Writers wait for each other, so what a transaction read is still so when it writes; readers wait for nobody.
Each transaction opens its own connection, so a registry may be kept for days, forked, or shared by threads.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from codec.errors import MissingToolError, RegistryError
from codec.home import nacre_home
from registry.migrations.upgrade import keep_copy, upgrade

# Of the newest step in migrations/versions.
SCHEMA_VERSION = 3
_BUSY_TIMEOUT_S = 60
# What SQLite needs beside its file, for any transaction.
_ROOM_BYTES = 1_000_000
# Any number: what writers to a PostgreSQL registry lock.
_ADVISORY_LOCK = 0x6E61637265


class _Base(DeclarativeBase):
    pass


class SchemaRow(_Base):
    """The number of the schema that the tables follow."""

    __tablename__ = "schema_version"
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class VersionRow(_Base):
    """A registered package; `store_tag` is where BentoML's store keeps its files."""

    __tablename__ = "versions"
    __table_args__ = (sa.UniqueConstraint("name", "content_hash"),)
    name: Mapped[str] = mapped_column(sa.String(63), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content_hash: Mapped[str] = mapped_column(sa.String(64))
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    store_tag: Mapped[str] = mapped_column(sa.String(127), unique=True)
    created: Mapped[str] = mapped_column(sa.String(32))
    created_by: Mapped[str]
    note: Mapped[str]
    metrics: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    lineage: Mapped[dict[str, Any]] = mapped_column(sa.JSON)


class AliasRow(_Base):
    """Where `name@alias` points now."""

    __tablename__ = "aliases"
    __table_args__ = (sa.ForeignKeyConstraint(["name", "version"], ["versions.name", "versions.version"]),)
    name: Mapped[str] = mapped_column(sa.String(63), primary_key=True)
    alias: Mapped[str] = mapped_column(sa.String(63), primary_key=True)
    version: Mapped[int]


class HistoryRow(_Base):
    """One change of `name@alias`; `action` is `promote` or `rollback`."""

    __tablename__ = "alias_history"
    __table_args__ = (sa.Index("alias_history_of", "name", "alias"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(63))
    alias: Mapped[str] = mapped_column(sa.String(63))
    action: Mapped[str] = mapped_column(sa.String(16))
    version: Mapped[int]
    previous: Mapped[int | None]
    changed: Mapped[str] = mapped_column(sa.String(32))
    changed_by: Mapped[str]
    why: Mapped[str]


class ReportRow(_Base):
    """A report of a version; `place` is where the store keeps its files, whose SHA-256 are in `hashes`."""

    __tablename__ = "reports"
    __table_args__ = (
        sa.ForeignKeyConstraint(["name", "version"], ["versions.name", "versions.version"]),
        sa.UniqueConstraint("name", "version", "content_hash"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(63))
    version: Mapped[int]
    content_hash: Mapped[str] = mapped_column(sa.String(64))
    place: Mapped[str] = mapped_column(sa.String(127), unique=True)
    card: Mapped[str] = mapped_column(sa.String(128))
    uses: Mapped[list[str]] = mapped_column(sa.JSON)
    hashes: Mapped[dict[str, str]] = mapped_column(sa.JSON)
    attached: Mapped[str] = mapped_column(sa.String(32))
    attached_by: Mapped[str]
    note: Mapped[str]


class RemovalRow(_Base):
    """A version that was collected: its row in `versions`, its files and reports are gone; its number stays taken."""

    __tablename__ = "removals"
    name: Mapped[str] = mapped_column(sa.String(63), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content_hash: Mapped[str] = mapped_column(sa.String(64))
    fingerprint: Mapped[str] = mapped_column(sa.String(64))
    removed: Mapped[str] = mapped_column(sa.String(32))
    removed_by: Mapped[str]
    why: Mapped[str]


class Database:
    """A connection factory whose tables exist and follow this schema."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls) -> Database:
        """Open the database that the environment names, and bring its tables to this schema.

        Raises:
            RegistryError: The address is wrong, the database fails or was made by a newer Nacre.
            MissingToolError: The driver for the address is not installed.
        """
        database = cls(_engine())
        with database.read() as session:
            found = database._schema_of(session)
        if found != SCHEMA_VERSION:
            database._migrate()
        return database

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session that sees one consistent state and changes nothing.

        Raises:
            RegistryError: The database failed.
        """
        engine = self._engine
        if engine.dialect.name == "postgresql":  # SQLite's transactions do so anyway
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with self._failures_explained(), Session(engine) as session:
            yield session

    @contextlib.contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session that commits at the end of the block, all of it or nothing; other writers wait.

        Raises:
            RegistryError: The database failed.
        """
        engine = self._engine.execution_options(nacre_begin="BEGIN IMMEDIATE")
        with self._failures_explained(), Session(engine) as session, session.begin():
            if engine.dialect.name == "postgresql":
                session.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            yield session

    def __str__(self) -> str:
        return self._engine.url.render_as_string(hide_password=True)

    def _schema_of(self, session: Session) -> int:
        """Return the number of the schema that the tables follow, 0 if there are none.

        Raises:
            RegistryError: A newer Nacre made them.
        """
        if not sa.inspect(session.connection()).has_table(SchemaRow.__tablename__):
            return 0
        found = session.scalar(sa.select(SchemaRow.version)) or 0
        if found > SCHEMA_VERSION:
            raise RegistryError(
                f"the registry at {self} has schema {found}, this Nacre reads {SCHEMA_VERSION}: update Nacre"
            )
        return found

    def _migrate(self) -> None:
        with self.write() as session:
            found = self._schema_of(session)  # another process may have migrated it while this one waited
            if found == SCHEMA_VERSION:
                return
            connection = session.connection()
            if found and connection.dialect.name == "sqlite":
                keep_copy(connection, SCHEMA_VERSION)
            upgrade(connection, found, SCHEMA_VERSION)
            session.execute(sa.delete(SchemaRow))
            session.add(SchemaRow(version=SCHEMA_VERSION))

    @contextlib.contextmanager
    def _failures_explained(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            reason = _one_line(error.orig) + _full_disk(self._engine.url)
            raise RegistryError(f"the registry's database {self} failed: {reason}") from error


def _engine() -> sa.Engine:
    url = os.environ.get("NACRE_REGISTRY_URL")
    if not url:
        nacre_home().mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{nacre_home() / 'registry.db'}"
    try:
        if sa.make_url(url).get_backend_name() not in ("sqlite", "postgresql"):
            raise ArgumentError
        engine = sa.create_engine(url, poolclass=NullPool)
    except ArgumentError:
        raise RegistryError(
            "NACRE_REGISTRY_URL must be an address such as sqlite:////srv/registry.db "
            "or postgresql+psycopg://user@host/nacre"
        ) from None
    except ImportError as error:
        raise MissingToolError(
            f"NACRE_REGISTRY_URL needs a database driver that is not installed: {error} "
            "(for postgresql+psycopg://: pip install 'nacre[postgres]')"
        ) from None
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transactions, `_begin_sqlite` does
    for pragma in (f"busy_timeout={_BUSY_TIMEOUT_S * 1000}", "foreign_keys=ON", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}").close()
    _log_ahead(connection)


def _log_ahead(connection: Any) -> None:
    """Give a new file the log that lets readers in beside a writer; SQLite itself doesn't wait for another who does it.

    Raises:
        sqlite3.OperationalError: It can't be had.
    """
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("nacre_begin", "BEGIN"))


def _full_disk(url: sa.URL) -> str:
    """Say that the disk of an SQLite file is full, where it is: SQLite's own words for that are various."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return ""
    try:
        free = shutil.disk_usage(Path(url.database).parent).free
    except OSError:
        return ""
    return "; its disk is full: make room first (docs/operations.md)" if free < _ROOM_BYTES else ""


def _one_line(error: BaseException | None) -> str:
    return " ".join(str(error).split())
