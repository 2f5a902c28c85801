"""Moving an alias, and the history that every move adds to; all inside the caller's transaction.

History is a stack with a memory: `promote` puts a version on top, `rollback` takes the top away, and both are recorded.
So after promoting 1, 2, 3 and rolling back, the alias is at 2; promoting 4 and rolling back leads to 2 again, never to
the 3 that was given up; rolling back once more leads to 1.
"""

from __future__ import annotations

from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from codec.errors import ConflictError
from registry.database import AliasRow, HistoryRow
from registry.version import AliasChange
from registry.witness import now, who


def promote(session: Session, name: str, version: int, alias: str, expect: int | None, why: str) -> AliasChange | None:
    """Point `alias` at `version`; None if it points there already. `expect` 0 means that it must not exist yet.

    Raises:
        ConflictError: The alias is not where `expect` says.
    """
    current = _current_version(session, name, alias)
    if expect is not None:
        _check_expected(name, alias, expect, current)
    if current == version:
        return None
    return _move(session, name, alias, "promote", current, version, why)


def rollback(session: Session, name: str, alias: str, expect: int, earlier: int, why: str) -> AliasChange:
    """Point `alias` back at `earlier`, which `earlier_version` said while the alias was at `expect`.

    Raises:
        ConflictError: The alias was moved since.
    """
    current = _current_version(session, name, alias)
    _check_expected(name, alias, expect, current)
    return _move(session, name, alias, "rollback", current, earlier, why)


def earlier_version(session: Session, name: str, alias: str) -> int | None:
    """Return the version that a rollback leads to, None if there is none."""
    promoted: list[int] = []
    for change in _rows(session, name):
        if change.alias != alias:
            continue
        if change.action == "promote":
            promoted.append(change.version)
        else:
            promoted.pop()
    return promoted[-2] if len(promoted) > 1 else None


def versions_in_reach(session: Session, name: str) -> set[int]:
    """Return the versions that an alias of `name` points to, or would after one rollback."""
    now_at = {row.alias: row.version for row in session.scalars(sa.select(AliasRow).where(AliasRow.name == name))}
    earlier = {earlier_version(session, name, alias) for alias in now_at}
    return {version for version in (*now_at.values(), *earlier) if version is not None}


def history(session: Session, name: str) -> tuple[AliasChange, ...]:
    """Return every change of every alias of `name`, oldest first."""
    return tuple(_change(row) for row in _rows(session, name))


def _rows(session: Session, name: str) -> sa.ScalarResult[HistoryRow]:
    return session.scalars(sa.select(HistoryRow).where(HistoryRow.name == name).order_by(HistoryRow.id))


def _current_version(session: Session, name: str, alias: str) -> int | None:
    row = session.get(AliasRow, (name, alias))
    return row.version if row else None


def _check_expected(name: str, alias: str, expect: int, current: int | None) -> None:
    if expect == (current or 0):
        return
    where = f"is at version {current}" if current else "doesn't exist"
    raise ConflictError(f"'{name}@{alias}' {where}, not {expect} as expected: look again, then decide")


def _move(
    session: Session,
    name: str,
    alias: str,
    action: Literal["promote", "rollback"],
    current: int | None,
    version: int,
    why: str,
) -> AliasChange:
    session.merge(AliasRow(name=name, alias=alias, version=version))
    row = HistoryRow(
        name=name,
        alias=alias,
        action=action,
        version=version,
        previous=current,
        changed=now(),
        changed_by=who(),
        why=why,
    )
    session.add(row)
    session.flush()
    return _change(row)


def _change(row: HistoryRow) -> AliasChange:
    return AliasChange(
        name=row.name,
        alias=row.alias,
        action=row.action,
        version=row.version,
        previous=row.previous,
        changed=row.changed,
        changed_by=row.changed_by,
        why=row.why,
    )
