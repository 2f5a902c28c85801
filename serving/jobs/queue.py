"""What runners do with jobs: take one with a lease, renew that, and write down each step before and after it is done.

Every write checks that the lease still holds. A file is marked as running before its conversion begins, so that what a
process died on is known: a file gets MAX_TRIES, and so does the work between files, reading an archive and packing.
Only the end of a job is flushed to disk: what a power cut undoes of the rest is done again.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from serving.jobs.errors import JobCancelledError, LeaseLostError
from serving.jobs.job import Failure, JobFile, Operation, State
from serving.jobs.tables import Database, FileRow, JobRow, now_ms

MAX_TRIES = 2
WORKER_DIED = Failure("worker_died", f"{MAX_TRIES} workers died while they worked on it")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A job that `holder` has taken; `listed` tells whether its files are known."""

    id: str
    holder: str
    operation: Operation
    parameters: dict[str, Any]
    kind: str
    name: str
    listed: bool


@dataclass(frozen=True, kw_only=True)
class QueuedFile:
    """A file that was listed; `settled` files are done or failed."""

    number: int
    file: JobFile
    settled: bool
    done: bool


class JobQueue:
    """The jobs of a database, for one runner; leases last `lease_ms` unless renewed."""

    def __init__(self, database: Database, lease_ms: int) -> None:
        self._database = database
        self._lease_ms = lease_ms

    def claim(self) -> Claim | None:
        """Take the oldest job that waits, or whose runner died; None if there is none."""
        with self._database.write(flush=False) as session:
            while (job := self._next(session)) is not None:
                _bury(session, job)
                job.tries += 1
                if job.tries > MAX_TRIES:
                    _close(job, WORKER_DIED)
                    continue
                job.state, job.holder = "running", secrets.token_hex(16)
                job.lease_until_ms = now_ms() + self._lease_ms
                return Claim(
                    id=job.id,
                    holder=job.holder,
                    operation=job.operation,
                    parameters=job.parameters,
                    kind=job.kind,
                    name=job.name,
                    listed=job.listed,
                )
        return None

    def renew(self, claim: Claim, progress: float) -> None:
        """Prolong the lease, and tell how much of the job is done.

        Raises:
            JobCancelledError: The job was cancelled.
            LeaseLostError: The lease ran out, and another runner took the job.
        """
        with self._database.write(flush=False) as session:
            job = _held(session, claim)
            job.progress = progress
            job.lease_until_ms = now_ms() + self._lease_ms

    def list_files(self, claim: Claim, files: Sequence[JobFile]) -> None:
        """Write down the files of an archive. Raises as `renew`."""
        with self._database.write(flush=False) as session:
            job = _held(session, claim)
            add_files(session, job, files)

    def files(self, claim: Claim) -> list[QueuedFile]:
        """Return the job's files in order."""
        with self._database.read() as session:
            rows = session.scalars(sa.select(FileRow).where(FileRow.job_id == claim.id).order_by(FileRow.number))
            return [_queued(row) for row in rows]

    def begin(self, claim: Claim, number: int) -> None:
        """Write down that a file's conversion begins. Raises as `renew`."""
        with self._database.write(flush=False) as session:
            _held(session, claim)
            file = session.get_one(FileRow, (claim.id, number))
            file.state = "running"
            file.tries += 1

    def settle(self, claim: Claim, number: int, failure: Failure | None) -> None:
        """Write down that a file is done, or failed. Raises as `renew`."""
        with self._database.write(flush=False) as session:
            job = _held(session, claim)
            _settle(job, session.get_one(FileRow, (claim.id, number)), failure)
            job.tries = 1

    def finish(self, claim: Claim, error: Failure | None = None) -> State:
        """Write down that the work is over, well if a file is done and there is no `error`; return how it ended.

        Raises as `renew`.
        """
        with self._database.write() as session:
            job = _held(session, claim)
            return _close(job, error or _outcome(session, job))

    def release(self, claim: Claim) -> None:
        """Give the job back as if it hadn't been taken, but for the files that are settled. Raises as `renew`."""
        with self._database.write(flush=False) as session:
            job = _held(session, claim)
            for file in _running(session, job):
                file.state = "waiting"
                file.tries -= 1
            job.state, job.holder, job.lease_until_ms = "queued", None, None
            job.tries -= 1

    def let_go(self, claim: Claim) -> None:
        """Write down that nobody works any more on a job that was cancelled."""
        with self._database.write(flush=False) as session:
            cancelled = (JobRow.id == claim.id, JobRow.holder == claim.holder, JobRow.state == "cancelled")
            session.execute(sa.update(JobRow).where(*cancelled).values(holder=None, lease_until_ms=None))

    def _next(self, session: Session) -> JobRow | None:
        died = (JobRow.state == "running") & (JobRow.lease_until_ms < now_ms())
        waiting = sa.select(JobRow).where((JobRow.state == "queued") | died)
        return session.scalar(waiting.order_by(JobRow.created_ms, JobRow.id).limit(1))


def add_files(session: Session, job: JobRow, files: Sequence[JobFile]) -> None:
    """Add the files of a job that is stored already; those that have a failure are settled with it."""
    job.listed, job.total = True, len(files)
    for number, file in enumerate(files):
        row = FileRow(
            job_id=job.id, number=number, name=file.name, output=file.output, position=file.position, size=file.size
        )
        session.add(row)
        if file.failure is not None:
            _settle(job, row, file.failure)


def _held(session: Session, claim: Claim) -> JobRow:
    job = session.get(JobRow, claim.id)
    if job is None or job.state == "cancelled":
        raise JobCancelledError(f"job {claim.id} was cancelled")
    if job.state != "running" or job.holder != claim.holder:
        raise LeaseLostError(f"job {claim.id} was taken by another runner")
    return job


def _bury(session: Session, job: JobRow) -> None:
    """Settle or free the files on which an earlier runner died."""
    for file in _running(session, job):
        job.tries = 0
        if file.tries >= MAX_TRIES:
            _settle(job, file, WORKER_DIED)
        else:
            file.state = "waiting"


def _running(session: Session, job: JobRow) -> Sequence[FileRow]:
    return session.scalars(sa.select(FileRow).where(FileRow.job_id == job.id, FileRow.state == "running")).all()


def _settle(job: JobRow, file: FileRow, failure: Failure | None) -> None:
    if failure is None:
        file.state = "done"
        job.done += 1
        return
    file.state, file.code, file.message = "failed", failure.code, failure.message
    job.failed += 1


def _outcome(session: Session, job: JobRow) -> Failure | None:
    """Return the error of a job none of whose files is done: that of its only file, or that there is none."""
    if job.done:
        return None
    if job.total == 1:
        file = session.get_one(FileRow, (job.id, 0))
        return Failure(file.code or "internal", file.message or "")
    if job.total == 0:
        return Failure("bad_archive", "the archive holds no files")
    return Failure("nothing_converted", f"none of the {job.total} files could be converted")


def _close(job: JobRow, error: Failure | None) -> State:
    job.state = "done" if error is None else "failed"
    if error is None:
        job.progress = 1.0
    else:
        job.error_code, job.error_message = error.code, error.message
    job.finished_ms, job.holder, job.lease_until_ms = now_ms(), None, None
    return job.state


def _queued(row: FileRow) -> QueuedFile:
    file = JobFile(name=row.name, output=row.output, position=row.position, size=row.size)
    return QueuedFile(number=row.number, file=file, settled=row.state in ("done", "failed"), done=row.state == "done")
