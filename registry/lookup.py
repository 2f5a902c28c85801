"""From a reference to the row it means, or to a message that says what exists instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from codec.errors import UnknownModelError
from registry.database import AliasRow, RemovalRow, VersionRow
from registry.reference import ModelReference

# How many names or versions a message lists.
_LISTED = 20


def find_version(session: Session, reference: ModelReference) -> VersionRow:
    """Return the row that `reference` means now.

    Raises:
        UnknownModelError: It means nothing; the message says what exists.
    """
    version = reference.version
    if reference.alias is not None:
        version = session.scalar(
            sa.select(AliasRow.version).where(AliasRow.name == reference.name, AliasRow.alias == reference.alias)
        )
    row = session.get(VersionRow, (reference.name, version)) if version else None
    if row is None:
        raise UnknownModelError(_unknown(session, reference))
    return row


def check_name(session: Session, name: str) -> None:
    """Check that `name` has a version.

    Raises:
        UnknownModelError: It has none; the message says which names have.
    """
    if not _versions(session, name):
        raise UnknownModelError(_unknown_name(session, name))


def _unknown(session: Session, reference: ModelReference) -> str:
    name, versions = reference.name, _versions(session, reference.name)
    if not versions:
        return _unknown_name(session, name)
    if reference.version is not None:
        return f"{_missing(session, name, reference.version)}; registered are: {_some(versions)}"
    aliases = session.scalars(sa.select(AliasRow).where(AliasRow.name == name).order_by(AliasRow.alias))
    known = _some(f"{row.alias} (version {row.version})" for row in aliases) or "none yet"
    return (
        f"no alias '{reference.alias}' of '{name}'; its aliases: {known}; its versions: {_some(versions)} "
        f"(nacre registry promote {name}:{versions[0]} {reference.alias})"
    )


def _unknown_name(session: Session, name: str) -> str:
    names = session.scalars(sa.select(VersionRow.name).distinct().order_by(VersionRow.name)).all()
    if not names:
        return f"no model '{name}': nothing is registered yet (nacre registry register PACKAGE --name NAME)"
    return f"no model '{name}'; registered are: {_some(names)}"


def _missing(session: Session, name: str, version: int) -> str:
    removal = session.get(RemovalRow, (name, version))
    if removal is None:
        return f"no version {version} of '{name}'"
    why = f" ({' '.join(removal.why.split())})" if removal.why else ""
    return f"version {version} of '{name}' was collected on {removal.removed} by {removal.removed_by}{why}"


def _versions(session: Session, name: str) -> Sequence[int]:
    """Return the versions of `name`, newest first."""
    newest_first = sa.select(VersionRow.version).where(VersionRow.name == name).order_by(VersionRow.version.desc())
    return session.scalars(newest_first).all()


def _some(items: Iterable[object]) -> str:
    words = [str(item) for item in items]
    return ", ".join(words[:_LISTED]) + (f" and {len(words) - _LISTED} more" if len(words) > _LISTED else "")
