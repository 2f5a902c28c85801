"""From a reference to the row it means, or to a message that says what exists instead."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from codec.errors import UnknownModelError
from registry.database import AliasRow, VersionRow
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


def _unknown(session: Session, reference: ModelReference) -> str:
    name = reference.name
    newest_first = sa.select(VersionRow.version).where(VersionRow.name == name).order_by(VersionRow.version.desc())
    versions = session.scalars(newest_first).all()
    if not versions:
        names = session.scalars(sa.select(VersionRow.name).distinct().order_by(VersionRow.name)).all()
        if not names:
            return f"no model '{name}': nothing is registered yet (nacre registry register PACKAGE --name NAME)"
        return f"no model '{name}'; registered are: {_some(names)}"
    if reference.alias is None:
        return f"no version {reference.version} of '{name}'; registered are: {_some(versions)}"
    aliases = session.scalars(sa.select(AliasRow).where(AliasRow.name == name).order_by(AliasRow.alias))
    known = _some(f"{row.alias} (version {row.version})" for row in aliases) or "none yet"
    return (
        f"no alias '{reference.alias}' of '{name}'; its aliases: {known}; its versions: {_some(versions)} "
        f"(nacre registry promote {name}:{versions[0]} {reference.alias})"
    )


def _some(items: Iterable[object]) -> str:
    words = [str(item) for item in items]
    return ", ".join(words[:_LISTED]) + (f" and {len(words) - _LISTED} more" if len(words) > _LISTED else "")
