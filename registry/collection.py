"""What `gc` takes away, inside the caller's transaction: versions that nothing points to.

Of each name stay the newest N, so the highest number does and none is ever given twice; what an alias points to; and
what one rollback of an alias would lead to. A row in `removals` says what went, when and why, and history stays whole.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from registry.aliases import versions_in_reach
from registry.database import RemovalRow, ReportRow, VersionRow
from registry.witness import now, who


def collectable(session: Session, keep: int, name: str | None) -> list[VersionRow]:
    """Return what goes of `name`, or of every name, if the newest `keep` stay: by name, oldest first."""
    names = [name] if name is not None else session.scalars(sa.select(VersionRow.name).distinct()).all()
    return [row for one in sorted(names) for row in _collectable(session, keep, one)]


def remove(session: Session, row: VersionRow, why: str) -> None:
    """Turn the row of a version, and those of its reports, into one of `removals`."""
    removal = RemovalRow(
        name=row.name,
        version=row.version,
        content_hash=row.content_hash,
        fingerprint=row.fingerprint,
        removed=now(),
        removed_by=who(),
        why=why,
    )
    session.execute(sa.delete(ReportRow).where(ReportRow.name == row.name, ReportRow.version == row.version))
    session.delete(row)
    session.add(removal)


def _collectable(session: Session, keep: int, name: str) -> list[VersionRow]:
    newest_first = sa.select(VersionRow).where(VersionRow.name == name).order_by(VersionRow.version.desc())
    old = session.scalars(newest_first).all()[keep:]
    needed = versions_in_reach(session, name)
    return [row for row in reversed(old) if row.version not in needed]
