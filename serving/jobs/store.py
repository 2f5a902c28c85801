"""What requests do with jobs: submit, look, list, fetch, cancel. Nobody sees another owner's jobs.

A submission fills a new folder first and becomes a job with one transaction; a folder that never did is removed later
(cleaning.py). All of it blocks: call it in a thread.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from codec.files import sync_directory
from codec.home import nacre_home
from serving.errors import ServiceError
from serving.jobs.archive import Kind, detect_kind
from serving.jobs.errors import StorageFullError
from serving.jobs.folder import JobFolder, check_room
from serving.jobs.job import FINISHED, FileCounts, FileFailure, JobFacts, JobFile, JobList, Operation
from serving.jobs.limits import JobLimits
from serving.jobs.names import archive_name, output_name
from serving.jobs.queue import add_files
from serving.jobs.tables import Database, FileRow, JobRow, now_ms
from serving.schemas import ErrorDetail

RETRY_SECONDS = 60
# The failures shown of one job, and of each job in a list.
MAX_FAILURES = 1000
MAX_LISTED_FAILURES = 10
MAX_PAGE = 100
_HOUR_MS = 3_600_000
_MEDIA_TYPES = {"nac": "application/vnd.nacre", "zip": "application/zip"}


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a job is to do: `digest` tells contents apart, `name` is what the upload was called."""

    owner: str
    operation: Operation
    parameters: dict[str, Any]
    format: str
    name: str
    digest: str
    idempotency_key: str | None


@dataclass(frozen=True, kw_only=True)
class Result:
    """A finished job's file, and what to say of it."""

    path: Path
    media_type: str
    name: str


class JobStore:
    """The jobs under `root`, shared by all worker processes."""

    def __init__(self, root: Path, database: Database, limits: JobLimits) -> None:
        self.root = root
        self.database = database
        self.limits = limits

    @classmethod
    def open(cls, limits: JobLimits, root: Path | None = None) -> JobStore:
        """Open the jobs under `root`, by default NACRE_HOME/jobs.

        Raises:
            NacreError: A newer Nacre made them.
        """
        place = nacre_home() / "jobs" if root is None else root
        return cls(place, Database.open(place / "jobs.db"), limits)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def folder(self, job_id: str) -> JobFolder:
        """Return a job's folder."""
        return JobFolder(self.root / job_id)

    def check_room(self, owner: str, claimed_bytes: int = 0) -> None:
        """Check, before a body is read, that a job of `owner` would be taken.

        Raises:
            ServiceError: There are too many jobs, or the disk is full.
        """
        with self.database.read() as session:
            self._check_count(session, owner)
        check_storage(self.root, self.limits, claimed_bytes)

    def draft(self) -> str:
        """Return the name of a new job, and make its folder."""
        job_id = secrets.token_hex(16)
        self.folder(job_id).path.mkdir()
        return job_id

    def add(self, job_id: str, submission: Submission) -> tuple[JobFacts, bool]:
        """Make a draft with its input a job; return it, or the one that has its idempotency key, and whether it is new.

        The folder of a draft that becomes no job is removed.

        Raises:
            ServiceError: There are too many jobs, or the idempotency key was used for something else.
        """
        new = False
        try:
            facts, new = self._add(self.folder(job_id), job_id, submission)
        finally:
            if not new:
                self.folder(job_id).remove()
        return facts, new

    def get(self, owner: str, job_id: str) -> JobFacts:
        """Return a job.

        Raises:
            ServiceError: `owner` has no such job.
        """
        with self.database.read() as session:
            return self._facts(session, [_find(session, owner, job_id)], MAX_FAILURES)[0]

    def page(self, owner: str, limit: int, cursor: str | None = None) -> JobList:
        """Return up to `limit` jobs, newest first, that come after `cursor`.

        Raises:
            ServiceError: The cursor is none that a page gave.
        """
        query = sa.select(JobRow).where(JobRow.owner == owner).order_by(JobRow.created_ms.desc(), JobRow.id.desc())
        if cursor is not None:
            query = query.where(sa.tuple_(JobRow.created_ms, JobRow.id) < _position(cursor))
        with self.database.read() as session:
            rows = session.scalars(query.limit(limit + 1)).all()
            jobs = self._facts(session, rows[:limit], MAX_LISTED_FAILURES)
        more = f"{rows[limit - 1].created_ms}-{rows[limit - 1].id}" if len(rows) > limit else None
        return JobList(jobs=jobs, next=more)

    def counts(self) -> dict[str, int]:
        """Return how many jobs there are in each state, whoever's they are."""
        query = sa.select(JobRow.state, sa.func.count().label("number")).group_by(JobRow.state)
        with self.database.read() as session:
            return {row.state: row.number for row in session.execute(query)}

    def result(self, owner: str, job_id: str) -> Result:
        """Return where a job's result is.

        Raises:
            ServiceError: `owner` has no such job, or it isn't done.
        """
        with self.database.read() as session:
            job = _find(session, owner, job_id)
            if job.state != "done":
                rule = "fetch the result once it is done" if job.state in ("queued", "running") else "it has no result"
                raise ServiceError(409, "not_done", f"the job is {job.state}: {rule}")
            folder = self.folder(job_id)
            single = job.kind == "file"
            name = session.get_one(FileRow, (job_id, 0)).output if single else archive_name(job.name)
        suffix = name.rpartition(".")[2].lower()
        path = folder.output(0) if single else folder.archive
        if not path.is_file():
            raise _unknown(job_id)
        return Result(path=path, media_type=_MEDIA_TYPES.get(suffix, f"audio/{suffix}"), name=name)

    def remove(self, owner: str, job_id: str) -> None:
        """Cancel a job that isn't finished, which stays visible as cancelled; remove one that is.

        Raises:
            ServiceError: `owner` has no such job.
        """
        with self.database.write() as session:
            job = _find(session, owner, job_id)
            held = job.holder is not None
            if job.state in FINISHED:
                session.delete(job)
            else:
                job.state, job.finished_ms, job.idempotency_key = "cancelled", now_ms(), None
        if not held:  # otherwise its runner removes the folder, or cleaning does when the runner died
            self.folder(job_id).remove()

    def _add(self, folder: JobFolder, job_id: str, submission: Submission) -> tuple[JobFacts, bool]:
        kind, size = detect_kind(folder.input), folder.input.stat().st_size
        sync_directory(folder.path)
        sync_directory(self.root)
        with self.database.write() as session:
            if (earlier := _same_key(session, submission)) is not None:
                return self._facts(session, [earlier], MAX_FAILURES)[0], False
            self._check_count(session, submission.owner)
            job = _row(job_id, kind, submission)
            session.add(job)
            session.flush()
            if kind == "file":
                output = output_name(submission.name, submission.operation, submission.format)
                add_files(session, job, [JobFile(name=submission.name, output=output, size=size)])
            return self._facts(session, [job], MAX_FAILURES)[0], True

    def _check_count(self, session: Session, owner: str) -> None:
        live = sa.select(sa.func.count()).select_from(JobRow).where(JobRow.state.in_(("queued", "running")))
        if (session.scalar(live.where(JobRow.owner == owner)) or 0) >= self.limits.max_jobs_per_owner:
            message = f"{self.limits.max_jobs_per_owner} of your jobs are waiting already: wait until some are finished"
            raise refusal(429, "too_many_jobs", message)
        if (session.scalar(live) or 0) >= self.limits.max_jobs:
            raise refusal(503, "overloaded", "too many jobs are waiting: try again later")

    def _facts(self, session: Session, rows: Sequence[JobRow], most: int) -> list[JobFacts]:
        keep_ms = round(self.limits.job_keep_hours * _HOUR_MS)
        return [_facts(row, _failures(session, row, most), keep_ms) for row in rows]


def refusal(status: int, code: str, message: str) -> ServiceError:
    """Return a refusal that may be repeated after a minute."""
    return ServiceError(status, code, message, {"Retry-After": str(RETRY_SECONDS)})


def check_storage(folder: Path, limits: JobLimits, wanted_bytes: int = 0) -> None:
    """Check that an upload fits on the disk.

    Raises:
        ServiceError: It doesn't.
    """
    try:
        check_room(folder, limits.job_min_free_bytes, wanted_bytes)
    except StorageFullError as error:
        raise refusal(503, error.code, str(error)) from None


def _row(job_id: str, kind: Kind, submission: Submission) -> JobRow:
    return JobRow(
        id=job_id,
        owner=submission.owner,
        operation=submission.operation,
        parameters=submission.parameters,
        kind=kind,
        name=submission.name,
        idempotency_key=submission.idempotency_key,
        digest=submission.digest,
        created_ms=now_ms(),
    )


def _same_key(session: Session, submission: Submission) -> JobRow | None:
    if submission.idempotency_key is None:
        return None
    key = (JobRow.owner == submission.owner, JobRow.idempotency_key == submission.idempotency_key)
    earlier = session.scalar(sa.select(JobRow).where(*key))
    if earlier is not None and earlier.digest != submission.digest:
        message = "this Idempotency-Key was used with other content or parameters: take a new one"
        raise ServiceError(409, "key_reused", message)
    return earlier


def _find(session: Session, owner: str, job_id: str) -> JobRow:
    job = session.get(JobRow, job_id)
    if job is None or job.owner != owner:
        raise _unknown(job_id)
    return job


def _unknown(job_id: str) -> ServiceError:
    return ServiceError(404, "unknown_job", f"there is no job '{job_id}': it may have expired")


def _position(cursor: str) -> Any:
    created, _, job_id = cursor.partition("-")
    if not (created.isdecimal() and created.isascii() and len(created) < 19 and job_id):
        raise ServiceError(422, "invalid_request", "cursor: take it from 'next' of the page before")
    return sa.tuple_(sa.literal(int(created)), sa.literal(job_id))


def _failures(session: Session, job: JobRow, most: int) -> list[FileFailure]:
    if not job.failed:
        return []
    query = sa.select(FileRow).where(FileRow.job_id == job.id, FileRow.state == "failed").order_by(FileRow.number)
    return [
        FileFailure(file=row.name, code=row.code or "", message=row.message or "")
        for row in session.scalars(query.limit(most))
    ]


def _facts(job: JobRow, failures: list[FileFailure], keep_ms: int) -> JobFacts:
    error = None
    if job.error_code is not None:
        error = ErrorDetail(code=job.error_code, message=job.error_message or "")
    return JobFacts(
        id=job.id,
        operation=job.operation,
        state=job.state,
        progress=round(job.progress, 4),
        created=_time(job.created_ms),
        finished=None if job.finished_ms is None else _time(job.finished_ms),
        files=FileCounts(total=job.total, done=job.done, failed=job.failed),
        failures=failures,
        error=error,
        expires=None if job.finished_ms is None else _time(job.finished_ms + keep_ms),
    )


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1000, UTC)
