"""What a job is: its words, and how the API shows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from serving.schemas import ErrorDetail

Operation = Literal["encode", "decode"]
State = Literal["queued", "running", "done", "failed", "cancelled"]
FileState = Literal["waiting", "running", "done", "failed"]
FINISHED: tuple[State, ...] = ("done", "failed", "cancelled")


@dataclass(frozen=True)
class Failure:
    """Why a file, or a whole job, failed: a stable word and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class JobFile:
    """One file of a job.

    `name` is what its owner calls it and `output` what its result will be called. Its `size` bytes are at `position` in
    the archive, as the archive's reader counts. One that can't be taken has a `failure` from the start.
    """

    name: str
    output: str
    position: int = 0
    size: int
    failure: Failure | None = None


class FileCounts(BaseModel):
    """How many files there are, 0 until an archive was looked into; entries that can't be used count as failed."""

    total: int
    done: int
    failed: int


class FileFailure(BaseModel):
    """A file that failed, and why."""

    file: str
    code: str
    message: str


class JobFacts(BaseModel):
    """A job as its owner sees it; `failures` holds the first ones, `files.failed` counts all."""

    id: str
    operation: Operation
    state: State
    progress: float
    created: datetime
    finished: datetime | None
    files: FileCounts
    failures: list[FileFailure]
    error: ErrorDetail | None
    expires: datetime | None


class JobList(BaseModel):
    """A page of jobs, newest first; `next` is the `cursor` of the page after it."""

    jobs: list[JobFacts]
    next: str | None
