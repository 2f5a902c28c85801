"""The jobs' database, NACRE_HOME/jobs/jobs.db: SQLite, for any number of processes on one machine.

    jobs     one row a job; `holder` has it until `lease_until_ms`
    files    one row a file of a job, once an archive was looked into

Times are milliseconds since 1970. Writers wait for each other, so what a transaction read is still so when it writes.
Connections are kept, because the last one to be closed empties the log into the file, which takes longer than most
transactions; so each process opens the database for itself.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from codec.errors import NacreError
from codec.locking import locked
from serving.jobs.job import FileState, Operation, State

SCHEMA_VERSION = 1
_BUSY_TIMEOUT_S = 30
_BEGIN, _SYNC = "nacre_begin", "nacre_sync"


class _Base(DeclarativeBase):
    pass


class JobRow(_Base):
    """A job; `tries` counts the runners that took it since the last file was settled."""

    __tablename__ = "jobs"
    __table_args__ = (
        sa.UniqueConstraint("owner", "idempotency_key"),
        sa.Index("jobs_of_owner", "owner", "created_ms", "id"),
        sa.Index("jobs_in_state", "state", "created_ms", "id"),
    )
    id: Mapped[str] = mapped_column(sa.String(32), primary_key=True)
    owner: Mapped[str]
    operation: Mapped[Operation] = mapped_column(sa.String(16))
    parameters: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    kind: Mapped[str] = mapped_column(sa.String(16))
    name: Mapped[str]
    idempotency_key: Mapped[str | None]
    digest: Mapped[str] = mapped_column(sa.String(64))
    state: Mapped[State] = mapped_column(sa.String(16), default="queued")
    progress: Mapped[float] = mapped_column(default=0.0)
    created_ms: Mapped[int]
    finished_ms: Mapped[int | None]
    listed: Mapped[bool] = mapped_column(default=False)
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    holder: Mapped[str | None] = mapped_column(sa.String(32))
    lease_until_ms: Mapped[int | None]
    tries: Mapped[int] = mapped_column(default=0)


class FileRow(_Base):
    """A file of a job; `tries` counts how often its conversion was begun."""

    __tablename__ = "files"
    job_id: Mapped[str] = mapped_column(sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    output: Mapped[str]
    position: Mapped[int]
    size: Mapped[int]
    state: Mapped[FileState] = mapped_column(sa.String(16), default="waiting")
    tries: Mapped[int] = mapped_column(default=0)
    code: Mapped[str | None]
    message: Mapped[str | None]


class Database:
    """Connections to a database whose tables exist, for any number of threads of one process."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open the database at `path`, and make it if it isn't there.

        Raises:
            NacreError: A newer Nacre made it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(f"sqlite:///{path}", pool_size=2, max_overflow=-1)
        sa.event.listen(engine, "connect", _configure)
        sa.event.listen(engine, "begin", _begin)
        database = cls(engine)
        # A new file's first switch to WAL fails, rather than waits, when others do the same.
        with locked(path.parent / ".lock"):
            database._create_tables(path)
        return database

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session that sees one consistent state and changes nothing."""
        with Session(self._engine) as session:
            yield session

    @contextlib.contextmanager
    def write(self, flush: bool = True) -> Iterator[Session]:
        """Yield a session that commits at the end of the block, all of it or nothing; other writers wait.

        Without `flush` the disk isn't waited for: a power cut, but no kill, may undo it, until a later one is flushed.
        """
        options = {_BEGIN: "BEGIN IMMEDIATE", _SYNC: "FULL" if flush else "NORMAL"}
        engine = self._engine.execution_options(**options)
        with Session(engine) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close the connections that are kept."""
        self._engine.dispose()

    def _create_tables(self, path: Path) -> None:
        with self.write() as session:
            found = session.scalar(sa.text("PRAGMA user_version"))
            if found not in (0, SCHEMA_VERSION):
                raise NacreError(f"'{path}' has schema {found}, this Nacre reads {SCHEMA_VERSION}: update Nacre")
            _Base.metadata.create_all(session.connection())
            session.execute(sa.text(f"PRAGMA user_version = {SCHEMA_VERSION}"))


def now_ms() -> int:
    """Return the time, as the tables count it."""
    return time.time_ns() // 1_000_000


def _configure(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transactions, `_begin` does
    for pragma in (f"busy_timeout={_BUSY_TIMEOUT_S * 1000}", "journal_mode=WAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    connection.exec_driver_sql(f"PRAGMA synchronous={options.get(_SYNC, 'FULL')}")
    connection.exec_driver_sql(options.get(_BEGIN, "BEGIN"))
