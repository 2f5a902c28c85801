"""Checks in processes of their own, each with the model and one thread, so that what kills its process costs one file.

With one process of a `ProcessPoolExecutor` all of them go. Then what was under way is done again one by one, and what
dies alone is lost. The processes end with this one, however it ends: each listens to a pipe that nobody writes to.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import select
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Protocol, TypeVar

from serving.transcode.work import ADVANCE_SECONDS, Advance, Tell

Item = TypeVar("Item")
Result = TypeVar("Result")
# What is called with an item, and may tell how far it is.
Call = Callable[[Item, Tell], Result]

# So many items wait for each process, so that no process waits for an item.
_AHEAD = 2
# What a connection adds to a message.
_MESSAGE_HEADER = 64
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class Runner(Protocol):
    """Calls a function with items."""

    def run(self, call: Call[Item, Result], items: Iterator[Item], tell: Tell) -> Iterator[tuple[Item, Result | None]]:
        """Yield each item with its result, in any order; None where it killed its process.

        `tell` is told how far calls are, from this thread, and nothing more of an item that was yielded.

        Raises:
            Exception: Whatever a call raises.
        """
        ...


class Here:
    """Calls in this process, for programs that have a model loaded; what kills a process kills this one."""

    def run(self, call: Call[Item, Result], items: Iterator[Item], tell: Tell) -> Iterator[tuple[Item, Result | None]]:
        """As `Runner.run`."""
        for item in items:
            yield item, call(item, tell)


class Pool:
    """Calls in `workers` processes; the function is one that can be pickled. Use it in a `with`."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._start()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def run(self, call: Call[Item, Result], items: Iterator[Item], tell: Tell) -> Iterator[tuple[Item, Result | None]]:
        """As `Runner.run`."""
        running: dict[Future[Result], Item] = {}
        while (suspects := self._fill(running, call, items)) or running:
            done = self._wait(running, tell, ALL_COMPLETED if suspects else FIRST_COMPLETED)
            for future in done:
                item = running.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    suspects.append(item)
                else:
                    yield item, future.result()
            if suspects:
                for item in (*suspects, *running.values()):
                    yield item, self._alone(call, item, tell)
                running.clear()

    def _fill(self, running: dict[Future[Result], Item], call: Call[Item, Result], items: Iterator[Item]) -> list[Item]:
        """Let as many items run as may; return the one that can't, as a process died, or none."""
        while len(running) < self._workers * _AHEAD and (item := next(items, None)) is not None:
            try:
                running[self._executor.submit(_called, call, item)] = item
            except BrokenProcessPool:
                return [item]
        return []

    def _alone(self, call: Call[Item, Result], item: Item, tell: Tell) -> Result | None:
        """Call with one item while nothing else runs, in new processes if the last ones died."""
        for _ in range(2):
            try:
                future = self._executor.submit(_called, call, item)
                self._wait([future], tell, FIRST_COMPLETED)
                return future.result()
            except BrokenProcessPool:
                self._stop()
                self._start()
        return None

    def _wait(self, running: Collection[Future[Result]], tell: Tell, until: str) -> set[Future[Result]]:
        """Return those that are done, and meanwhile pass on how far calls are: in the end, all that those told."""
        while True:
            done, others = wait(running, ADVANCE_SECONDS, until)
            while self._news.poll():
                tell(self._news.recv())
            if not others or (done and until == FIRST_COMPLETED):
                return done

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        lifeline, self._lifeline = context.Pipe(duplex=False)
        self._news, self._their_news = context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(self._workers, context, _begin, (lifeline, self._their_news))

    def _stop(self) -> None:
        """End all processes at once."""
        self._lifeline.close()
        self._executor.shutdown(cancel_futures=True)
        self._news.close()
        self._their_news.close()


# Where a process of the pool tells how far it is.
_telling: list[Connection] = []


def _begin(lifeline: Connection, news: Connection) -> None:
    """Make this process one that has a single thread, leaves Ctrl-C to its parent, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    _telling.append(news)


def _called(call: Call[Item, Result], item: Item) -> Result:
    return call(item, _tell)


def _tell(advance: Advance) -> None:
    """Tell the parent, through a pipe of all processes: a message so small is written whole or not at all."""
    message = pickle.dumps(advance)
    if len(message) < select.PIPE_BUF - _MESSAGE_HEADER:
        with suppress(OSError):  # the parent is gone, and soon this process
            _telling[0].send_bytes(message)


def _end_with_parent(lifeline: Connection) -> None:
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
