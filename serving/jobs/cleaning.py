"""Removes what is over: expired jobs, the folders of cancelled ones, and those of uploads that never became jobs."""

from __future__ import annotations

import time

import sqlalchemy as sa

from serving.jobs.folder import JobFolder
from serving.jobs.store import JobStore
from serving.jobs.tables import JobRow, now_ms

_HOUR_MS = 3_600_000
# How much older than the longest upload a folder without a job must be.
_ORPHAN_SECONDS = 600.0


def clean(store: JobStore) -> None:
    """Remove all that is over; several processes may do so at once."""
    _expire(store)
    _remove_cancelled(store)
    _remove_orphans(store)


def _expire(store: JobStore) -> None:
    before = now_ms() - round(store.limits.job_keep_hours * _HOUR_MS)
    with store.database.write() as session:
        expired = session.scalars(sa.select(JobRow).where(JobRow.finished_ms < before)).all()
        for job in expired:
            session.delete(job)
    for job in expired:
        store.folder(job.id).remove()


def _remove_cancelled(store: JobStore) -> None:
    """Remove the folders of cancelled jobs whose runner died before it did."""
    left = (JobRow.state == "cancelled") & (JobRow.lease_until_ms < now_ms())
    with store.database.read() as session:
        jobs = session.scalars(sa.select(JobRow.id).where(left)).all()
    for job_id in jobs:
        store.folder(job_id).remove()
    with store.database.write() as session:
        session.execute(sa.update(JobRow).where(left).values(holder=None, lease_until_ms=None))


def _remove_orphans(store: JobStore) -> None:
    before = time.time() - store.limits.job_upload_seconds - _ORPHAN_SECONDS
    folders = [path for path in store.root.iterdir() if path.is_dir() and path.stat().st_mtime < before]
    if not folders:
        return
    with store.database.read() as session:
        known = set(session.scalars(sa.select(JobRow.id)))
    for path in folders:
        if path.name not in known:
            JobFolder(path).remove()
