"""The work on one job, from where an earlier runner left it: list its files, convert each, pack what came out."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import cast

from sqlalchemy.exc import SQLAlchemyError

from codec.errors import NacreError
from codec.files import atomic_path
from serving.errors import ServiceError, status_of
from serving.jobs.archive import Entry, Kind, Members, list_entries, open_members
from serving.jobs.converter import Converter
from serving.jobs.errors import ArchiveError, StorageFullError, WorkEndedError
from serving.jobs.folder import JobFolder, check_room
from serving.jobs.job import Failure, JobFile, Operation, State
from serving.jobs.limits import JobLimits
from serving.jobs.names import output_name, printable, safe_name
from serving.jobs.pack import pack_outputs
from serving.jobs.queue import Claim, JobQueue, QueuedFile
from serving.jobs.watch import Watch
from serving.schemas import DecodeParameters, EncodeParameters

INTERNAL = Failure("internal", "the service failed; its log has the reason under the job's id")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

logger = logging.getLogger("nacre.serving")


class Work:
    """What is to be done for a claim; `run` does it.

    A file that can't be converted is a failure of its own and the rest goes on; only what ends all work is raised.
    """

    def __init__(
        self,
        claim: Claim,
        queue: JobQueue,
        folder: JobFolder,
        converter: Converter,
        limits: JobLimits,
        watch: Watch,
    ) -> None:
        self._claim = claim
        self._queue = queue
        self._folder = folder
        self._converter = converter
        self._limits = limits
        self._watch = watch
        self._kind = cast(Kind, claim.kind)

    @cached_property
    def _parameters(self) -> EncodeParameters | DecodeParameters:
        return stored_parameters(self._claim.operation, self._claim.parameters)

    def run(self) -> State:
        """Do it, write down how it ended, and return that.

        Raises:
            WorkEndedError: The job was cancelled, taken by another runner, or this one is stopping.
        """
        try:
            self._folder.prepare()
            if not self._claim.listed:
                self._list()
            self._convert_all()
            if self._kind != "file":
                self._pack()
        except (WorkEndedError, SQLAlchemyError):
            raise
        except Exception as error:  # whatever it is, the job is at its end
            state = self._queue.finish(self._claim, self._explain(error, "it"))
        else:
            state = self._queue.finish(self._claim)
        self._folder.keep_result(archive=self._kind != "file")
        return state

    def _list(self) -> None:
        entries = list_entries(self._folder.input, self._kind, self._limits, self._watch.check)
        format = self._parameters.format if isinstance(self._parameters, DecodeParameters) else ""
        self._queue.list_files(self._claim, plan_files(entries, self._claim.operation, format))

    def _convert_all(self) -> None:
        files = self._queue.files(self._claim)
        total = max(1, sum(queued.file.size for queued in files))
        before = sum(queued.file.size for queued in files if queued.settled)
        with self._open_members() as members:
            for queued in files:
                if not queued.settled:
                    size = queued.file.size
                    self._queue.begin(self._claim, queued.number)
                    failure = self._convert(queued, members, before / total, size / total)
                    self._queue.settle(self._claim, queued.number, failure)
                    before += size

    def _convert(self, queued: QueuedFile, members: Members | None, before: float, share: float) -> Failure | None:
        """Convert one file; return its failure, if it is one."""

        def progress(done: float) -> None:
            self._watch.report(before + share * done)

        try:
            self._watch.check()
            check_room(self._folder.path, self._limits.job_min_free_bytes, 0 if members is None else queued.file.size)
            with self._source(queued, members) as source, atomic_path(self._folder.output(queued.number)) as target:
                if isinstance(self._parameters, DecodeParameters):
                    self._converter.decode(source, target, self._parameters, progress)
                else:
                    self._converter.encode(source, target, self._parameters, progress)
        except WorkEndedError:
            raise
        except Exception as error:  # whatever it is, the other files go on
            return self._explain(error, f"file {queued.number}")
        return None

    @contextmanager
    def _source(self, queued: QueuedFile, members: Members | None) -> Iterator[Path]:
        """Yield the file to convert, unpacked for that long if it is in an archive."""
        if members is None:
            yield self._folder.input
            return
        folder = self._folder.work(self._claim.holder)
        folder.mkdir(exist_ok=True)
        path = folder / str(queued.number)
        try:
            with path.open("wb") as file:
                for chunk in members.read(queued.file.position, queued.file.size):
                    file.write(chunk)
                    self._watch.check()
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def _open_members(self) -> Iterator[Members | None]:
        if self._kind == "file":
            yield None
            return
        with open_members(self._folder.input, self._kind, self._limits, self._watch.check) as members:
            yield members

    def _pack(self) -> None:
        done = [queued for queued in self._queue.files(self._claim) if queued.done]
        if not done:
            return
        outputs = [(queued.file.output, self._folder.output(queued.number)) for queued in done]
        needed = sum(path.stat().st_size for _, path in outputs)
        check_room(self._folder.path, self._limits.job_min_free_bytes, needed)
        pack_outputs(self._folder.archive, outputs, self._watch.check)

    def _explain(self, error: Exception, what: str) -> Failure:
        """Say why something failed, without a word of this machine; log what its owner is not told."""
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            full = StorageFullError("the service's disk is full: try again later, or send less at once")
            return Failure(full.code, str(full))
        if isinstance(error, ServiceError | ArchiveError | StorageFullError):
            return Failure(error.code, str(error))
        if isinstance(error, NacreError) and status_of(error) != 500:
            return Failure(error.code, str(error))
        logger.error("job %s: %s failed", self._claim.id, what, exc_info=error)
        return INTERNAL


def stored_parameters(operation: Operation, stored: dict[str, object]) -> EncodeParameters | DecodeParameters:
    """Return a job's parameters as they were submitted."""
    return (EncodeParameters if operation == "encode" else DecodeParameters).model_validate(stored)


def plan_files(entries: list[Entry], operation: Operation, format: str) -> list[JobFile]:
    """Name the entries of an archive and their outputs; one whose name is unsafe or taken has a failure."""
    taken: set[str] = set()
    return [_plan(entry, operation, format, taken) for entry in entries]


def _plan(entry: Entry, operation: Operation, format: str, taken: set[str]) -> JobFile:
    shown, output = printable(entry.name), ""
    reason = entry.refusal
    if reason is None:
        try:
            shown = safe_name(entry.name)
            output = output_name(shown, operation, format)
            reason = f"another entry is called so, or its output '{output}' is" if output in taken else None
        except ArchiveError as error:
            reason = str(error)
    taken.add(output)
    failure = None if reason is None else Failure("bad_entry", f"the archive's entry is left out: {reason}")
    return JobFile(name=shown, output=output, position=entry.position, size=entry.size, failure=failure)
