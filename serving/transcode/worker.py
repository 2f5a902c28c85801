"""A worker: does tasks with a model that it loads once, several files at a time.

Files are fetched and written by threads while others are worked on; the model itself has one thread, which joins the
windows of different files where that is faster, and gives each the bits it gets alone (serving/batcher.py).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from codec.chunked import WINDOW_FRAMES, goes_in_windows
from codec.weights import LoadedPackage, load_package
from serving.batcher import BatchedCodec, Batcher
from serving.observe.metrics import Metrics
from serving.transcode.digest import content_sha256
from serving.transcode.output import BlockedError, Content, OutputMaker, UnusableError
from serving.transcode.reason import explain
from serving.transcode.sources.opening import EntryOpener
from serving.transcode.work import Job, Outcome, Task

# Files that are fetched, checked or written while others are worked on.
FILES_BESIDE = 6
# Files worked on at once, and whole windows in a batch. A worker on a CPU has one core, which one file keeps busy: more
# get into each other's way. A GPU wants many windows, and those of one file follow each other.
CPU_FILES, CPU_WINDOWS = 1, 1
GPU_FILES, GPU_WINDOWS = 16, 16

_Opened = tuple[Path | BinaryIO, dict[str, str]]
_Outcomes = SimpleQueue[Outcome | BaseException | None]


class Worker:
    """Does a job's tasks; `model` is the job's if it is loaded already."""

    def __init__(self, job: Job, model: LoadedPackage | None = None) -> None:
        model = model or load_package(job.package, job.device)
        config = model.package.config
        self._windowed = goes_in_windows(config)
        files, windows = (CPU_FILES, CPU_WINDOWS) if job.device == "cpu" else (GPU_FILES, GPU_WINDOWS)
        self._threads = files + FILES_BESIDE
        self._working = threading.Semaphore(files)
        self._batcher = Batcher(1, windows * WINDOW_FRAMES * config.hop_length, Metrics())
        coder = BatchedCodec(model.codec, self._batcher, threading.Event())
        self._maker = OutputMaker(job, model, coder if self._windowed else None, self._turn)
        self._opener = EntryOpener(job.scratch)
        self._pulling = threading.Lock()

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Do tasks, and yield the outcome of each as soon as it is there, in any order.

        Tasks are taken one by one by threads of the worker's, when there is one free; taking one may block.
        """
        feed, outcomes = iter(tasks), _Outcomes()
        for _ in range(self._threads):
            threading.Thread(target=self._serve, args=(feed, outcomes), daemon=True).start()
        running = self._threads
        while running:
            outcome = outcomes.get()
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome is None:
                running -= 1
            else:
                yield outcome

    def _serve(self, feed: Iterator[Task], outcomes: _Outcomes) -> None:
        try:
            while (outcome := self._do_next(feed)) is not None:
                outcomes.put(outcome)
        except BaseException as error:  # whatever it is, `run` raises it
            outcomes.put(error)
        else:
            outcomes.put(None)

    def _do_next(self, feed: Iterator[Task]) -> Outcome | None:
        """Take a task and do it; None at the end."""
        with ExitStack() as stack:
            with self._pulling:
                task = next(feed, None)
                if task is None:
                    return None
                opened: _Opened | Exception | None = None
                if task.entry.locator.kind == "tar.gz":  # which can only be read in the order of tasks
                    opened = self._try_open(task, stack)
            if opened is None:
                opened = self._try_open(task, stack)
            if isinstance(opened, Exception):
                return _failed(task, opened)
            return self._do(task, *opened)

    def _try_open(self, task: Task, stack: ExitStack) -> _Opened | Exception:
        try:
            return stack.enter_context(self._opener.opened_with_notes(task.entry))
        except Exception as error:  # whatever it is, the other files go on
            return error

    def _do(self, task: Task, file: Path | BinaryIO, notes: dict[str, str]) -> Outcome:
        try:
            digest = content_sha256(file, task.entry.checksum)
            if digest == task.known_sha256:
                return Outcome(source=task.entry.name, status="unchanged", source_sha256=digest)
            output = self._maker.make(task, Content(file=file, sha256=digest, notes=notes))
        except BlockedError as error:
            return Outcome(source=task.entry.name, status="blocked", reason=str(error))
        except Exception as error:  # whatever it is, the other files go on
            return _failed(task, error)
        return Outcome(
            source=task.entry.name,
            status="done",
            seconds=output.seconds,
            source_sha256=digest,
            output_bytes=output.num_bytes,
            output_sha256=output.sha256,
        )

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for a turn to work on a file; and for the model, where the work can't be joined with others'."""
        with self._working, nullcontext() if self._windowed else self._batcher.alone():
            yield


def _failed(task: Task, error: Exception) -> Outcome:
    reason = str(error) if isinstance(error, UnusableError) else explain(error)
    return Outcome(source=task.entry.name, status="failed", reason=reason)
