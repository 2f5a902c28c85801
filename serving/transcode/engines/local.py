"""Workers in processes of this machine, one a core, each with one thread for the model."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue

from codec.errors import NacreError
from serving.memory import WORKER_ENVIRONMENT
from serving.transcode.engines import Batch, Died
from serving.transcode.work import Job, News, Outcome, Task

# Workers that die before they have the model, one after the other.
MAX_STILLBORN = 3
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_ENVIRONMENT = WORKER_ENVIRONMENT | dict.fromkeys(_THREADS, "1")


@dataclass(frozen=True)
class _Ready:
    """The worker has loaded the model."""


@dataclass(frozen=True)
class _Unfit:
    """The worker can't load the model."""

    reason: str


class LocalEngine:
    """`workers` processes; without a number, as many as there are cores."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))

    def run(self, job: Job, batches: Iterator[Batch], *, alone: bool = False) -> Generator[News | Died]:
        """As `Engine.run`."""
        # A worker gets another batch when no more tasks than these are left to it, so that it never waits for one.
        few = 0 if alone else job.files_at_once
        pool = _Pool(job, 1 if alone else self.workers, few)
        try:
            yield from pool.run(batches)
        finally:
            pool.close()


class _Process:
    """A worker's process, and what it was given and has not finished."""

    def __init__(self, job: Job) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(job, theirs), daemon=True, name="nacre-transcode")
        with _environment():
            self.process.start()
        theirs.close()
        self.tasks: dict[str, Task] = {}
        self.ready = False

    def give(self, batch: Batch) -> None:
        """Send tasks; if it is dead, that shows when it is heard."""
        self.tasks |= {task.entry.name: task for task in batch}
        with suppress(OSError):
            self.connection.send(list(batch))

    def end(self) -> None:
        """Make sure it is gone."""
        self.process.kill()
        self.process.join()
        self.connection.close()


class _Pool:
    def __init__(self, job: Job, workers: int, few: int) -> None:
        self._job = job
        self._most = workers
        self._few = few
        self._processes: list[_Process] = []
        self._stillborn = 0

    def run(self, batches: Iterator[Batch]) -> Iterator[News | Died]:
        while True:
            self._feed(batches)
            busy = [process for process in self._processes if process.tasks]
            if not busy:
                return
            heard = wait([process.connection for process in busy])
            for process in busy:
                if process.connection in heard:
                    yield from self._hear(process)

    def close(self) -> None:
        for process in self._processes:
            process.end()

    def _feed(self, batches: Iterator[Batch]) -> None:
        """Give batches to whoever has little to do, the idlest first."""
        while (free := self._free()) is not None or len(self._processes) < self._most:
            batch = next(batches, None)
            if batch is None:
                return
            if free is None or (free.tasks and len(self._processes) < self._most):
                free = _Process(self._job)
                self._processes.append(free)
            free.give(batch)

    def _free(self) -> _Process | None:
        idlest = min(self._processes, key=lambda process: len(process.tasks), default=None)
        return idlest if idlest is not None and len(idlest.tasks) <= self._few else None

    def _hear(self, process: _Process) -> Iterator[News | Died]:
        try:
            message = process.connection.recv()
        except (EOFError, OSError):
            yield self._bury(process)
            return
        if isinstance(message, _Unfit):
            raise NacreError(message.reason)
        if isinstance(message, _Ready):
            process.ready, self._stillborn = True, 0
            return
        if isinstance(message, Outcome):
            del process.tasks[message.source]
        yield message

    def _bury(self, process: _Process) -> Died:
        self._processes.remove(process)
        process.end()
        if not process.ready:
            self._stillborn += 1
            if self._stillborn >= MAX_STILLBORN:
                status = process.process.exitcode
                raise NacreError(f"workers die while they load the model (status {status}): is there memory enough?")
        return Died(tuple(process.tasks.values()))


@contextmanager
def _environment() -> Iterator[None]:
    """Start processes within as workers want to be started."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(job: Job, connection: Connection) -> None:
    """Be a worker: read batches, write news of them, until told to end or nobody is there any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's goes to all; the coordinator decides
    tasks: SimpleQueue[Task | None] = SimpleQueue()
    threading.Thread(target=_read, args=(connection, tasks), daemon=True).start()
    import torch

    from serving.transcode.worker import Worker

    torch.set_num_threads(1)
    try:
        worker = Worker(job)
    except NacreError as error:
        connection.send(_Unfit(str(error)))
        return
    connection.send(_Ready())
    for news in worker.run(iter(tasks.get, None)):
        connection.send(news)


def _read(connection: Connection, tasks: SimpleQueue[Task | None]) -> None:
    while True:
        try:
            batch = connection.recv()
        except (EOFError, OSError):
            os._exit(1)  # the coordinator is gone
        for task in batch:
            tasks.put(task)
