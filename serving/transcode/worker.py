"""A worker: does tasks with a model that it loads once, several files at a time.

Files are fetched and written by threads while others are worked on; the model itself has one thread, which joins the
windows of different files where that is faster, and gives each the bits it gets alone (serving/batcher.py).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from codec.chunked import WINDOW_FRAMES, goes_in_windows
from codec.compress_blocks import Progress
from codec.families import FAMILIES
from codec.weights import LoadedPackage, load_package
from serving.batcher import BatchedCodec, Batcher
from serving.joined_coder import join_decoding
from serving.observe.metrics import Metrics
from serving.transcode.digest import content_sha256
from serving.transcode.output import BlockedError, Content, OutputMaker, UnusableError
from serving.transcode.reason import explain
from serving.transcode.sources.opening import EntryOpener
from serving.transcode.work import Job, News, Outcome, Task, advancing

# Files that are fetched, checked or written while others are worked on.
FILES_BESIDE = 6
# Windows in a batch on a GPU, and how much longer they are on a CPU, where nobody waits for one to end. Not those of
# networks whose layers are as long as the audio, which would take memory in proportion.
GPU_WINDOWS, CPU_STRETCH = 16, 3
# On a CPU, longer files are worked on one at a time: hours of codes take hundreds of megabytes.
LONG_SECONDS = 600.0

_Opened = tuple[Path | BinaryIO, dict[str, str]]
_AllNews = SimpleQueue[News | BaseException | None]


class Worker:
    """Does a job's tasks; `model` is the job's if it is loaded already."""

    def __init__(self, job: Job, model: LoadedPackage | None = None) -> None:
        model = model or load_package(job.package, job.device)
        config = model.package.config
        on_cpu, files = job.device == "cpu", job.files_at_once
        self._threads = files + FILES_BESIDE
        self._working = threading.Semaphore(files)
        self._long = threading.Semaphore(1 if on_cpu else files)
        frames = WINDOW_FRAMES * (CPU_STRETCH if on_cpu and FAMILIES[config.family].needs_rows else 1)
        most = frames * config.hop_length * (1 if on_cpu else GPU_WINDOWS)
        self._batcher = Batcher(1, most, Metrics())
        self._windowed = goes_in_windows(config)
        # Python beside the model would only hinder it. A file whose work holds the model throughout can't wait for it.
        model = join_decoding(model, self._batcher.alone if self._windowed else None)
        coder = BatchedCodec(model.codec, self._batcher, threading.Event(), frames)
        self._maker = OutputMaker(job, model, coder if self._windowed else None, self._turn)
        self._opener = EntryOpener(job.scratch)
        self._pulling = threading.Lock()

    def run(self, tasks: Iterable[Task]) -> Iterator[News]:
        """Do tasks, and yield the outcome of each as soon as it is there, in any order, and before how far it is.

        Tasks are taken one by one by threads of the worker's, when there is one free; taking one may block.
        """
        feed, told = iter(tasks), _AllNews()
        for _ in range(self._threads):
            threading.Thread(target=self._serve, args=(feed, told), daemon=True).start()
        running = self._threads
        while running:
            news = told.get()
            if isinstance(news, BaseException):
                raise news
            if news is None:
                running -= 1
            else:
                yield news

    def _serve(self, feed: Iterator[Task], told: _AllNews) -> None:
        _run_long()
        try:
            while (outcome := self._do_next(feed, told)) is not None:
                told.put(outcome)
        except BaseException as error:  # whatever it is, `run` raises it
            told.put(error)
        else:
            told.put(None)

    def _do_next(self, feed: Iterator[Task], told: _AllNews) -> Outcome | None:
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
            return self._do(task, *opened, advancing(task.entry.name, told.put))

    def _try_open(self, task: Task, stack: ExitStack) -> _Opened | Exception:
        try:
            return stack.enter_context(self._opener.opened_with_notes(task.entry))
        except Exception as error:  # whatever it is, the other files go on
            return error

    def _do(self, task: Task, file: Path | BinaryIO, notes: dict[str, str], progress: Progress) -> Outcome:
        try:
            digest = content_sha256(file, task.entry.checksum)
            if digest == task.known_sha256:
                return Outcome(source=task.entry.name, status="unchanged", source_sha256=digest)
            output = self._maker.make(task, Content(file=file, sha256=digest, notes=notes), progress)
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
    def _turn(self, seconds: float) -> Iterator[None]:
        """Wait for a turn to work on a file; and for the model, where the work can't be joined with others'."""
        with ExitStack() as stack:
            if seconds > LONG_SECONDS:
                stack.enter_context(self._long)
            stack.enter_context(self._working)
            if not self._windowed:
                stack.enter_context(self._batcher.alone())
            yield


def _run_long() -> None:
    """Let this thread, and those it starts, run long rather than soon: nobody waits, and each switch costs a cache."""
    if os.sched_getscheduler(0) == os.SCHED_OTHER:
        with suppress(OSError):  # where that isn't allowed, work takes a little longer
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _failed(task: Task, error: Exception) -> Outcome:
    reason = str(error) if isinstance(error, UnusableError) else explain(error)
    return Outcome(source=task.entry.name, status="failed", reason=reason)
