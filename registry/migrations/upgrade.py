"""From the schema that a database has to this release's, by the steps in versions/.

The caller's transaction holds all of it, so a database is migrated as a whole or stays as it was: SQLite and PostgreSQL
both take changes of tables back. Alembic keeps no table of its own here: `schema_version` says where a database stands.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import sqlalchemy as sa

from codec.errors import RegistryError
from codec.files import atomic_path

STEPS = Path(__file__).with_name("versions")


def upgrade(connection: sa.Connection, found: int, wanted: int) -> None:
    """Take the steps after number `found` (0: the database is empty) up to `wanted`."""
    from alembic.operations import Operations  # it is needed once in the life of a schema, and takes a while to load
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(STEPS.parent))
    steps = list(scripts.iterate_revisions(_revision(wanted), _revision(found) if found else "base"))
    operations = Operations(MigrationContext.configure(connection))
    for step in reversed(steps):
        step.module.upgrade(operations)


def keep_copy(connection: sa.Connection, wanted: int) -> None:
    """Copy an SQLite database to FILE.before-NUMBER beside it, while the caller keeps other writers out.

    Raises:
        RegistryError: There is no space or no permission.
    """
    file = Path(connection.exec_driver_sql("PRAGMA database_list").one().file)
    copy = file.with_name(f"{file.name}.before-{_revision(wanted)}")
    try:
        with atomic_path(copy) as temporary:
            _copy(file, temporary)
    except (OSError, sqlite3.Error) as error:
        raise RegistryError(f"'{file}' is not migrated, as no copy can be kept in '{copy}': {error}") from error


def _copy(file: Path, copy: Path) -> None:
    # A connection of its own, since one that writes can't be copied from.
    with contextlib.closing(sqlite3.connect(file)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    shutil.copymode(file, copy)


def _revision(number: int) -> str:
    return f"{number:04}"
