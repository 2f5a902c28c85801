"""The history of a version's reports, which is only ever added to; all inside the caller's transaction."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from registry.card import Card
from registry.database import ReportRow
from registry.storage.report_store import ReportStore, StoredReport
from registry.version import Attachment, ModelVersion, Report
from registry.witness import now, who


def attach(
    session: Session, version: ModelVersion, card: Card, stored: StoredReport, note: str, store: ReportStore
) -> Attachment:
    """Add a stored report to a version, unless it has the same one."""
    here = _of(version).where(ReportRow.content_hash == stored.content_hash)
    if row := session.scalar(here):
        return Attachment(_report(row, store), is_new=False)
    row = ReportRow(
        name=version.name,
        version=version.version,
        content_hash=stored.content_hash,
        place=stored.place,
        card=card.card,
        uses=list(card.uses),
        hashes=stored.hashes,
        attached=now(),
        attached_by=who(),
        note=note,
    )
    session.add(row)
    session.flush()
    return Attachment(_report(row, store), is_new=True)


def reports_of(session: Session, version: ModelVersion, store: ReportStore) -> tuple[Report, ...]:
    """Return every report of a version, oldest first."""
    return tuple(_report(row, store) for row in session.scalars(_of(version).order_by(ReportRow.id)))


def _of(version: ModelVersion) -> sa.Select[ReportRow]:
    return sa.select(ReportRow).where(ReportRow.name == version.name, ReportRow.version == version.version)


def _report(row: ReportRow, store: ReportStore) -> Report:
    directory = store.directory(row.place)
    return Report(
        version=f"{row.name}:{row.version}",
        attached=row.attached,
        attached_by=row.attached_by,
        note=row.note,
        uses=tuple(row.uses),
        card=directory / row.card,
        directory=directory,
        hashes=row.hashes,
    )
