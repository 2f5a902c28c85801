"""Checks in processes of their own, each with the model and one thread, so that what kills its process costs one file.

With one process of a `ProcessPoolExecutor` all of them go. Then what was under way is done again one by one, and what
dies alone is lost. The processes end with this one, however it ends: each listens to a pipe that nobody writes to.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# So many items wait for each process, so that no process waits for an item.
_AHEAD = 2
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class Runner(Protocol):
    """Calls a function with items."""

    def run(self, call: Callable[[Item], Result], items: Iterator[Item]) -> Iterator[tuple[Item, Result | None]]:
        """Yield each item with its result, in any order; None where it killed its process.

        Raises:
            Exception: Whatever a call raises.
        """
        ...


class Here:
    """Calls in this process, for programs that have a model loaded; what kills a process kills this one."""

    def run(self, call: Callable[[Item], Result], items: Iterator[Item]) -> Iterator[tuple[Item, Result | None]]:
        """As `Runner.run`."""
        for item in items:
            yield item, call(item)


class Pool:
    """Calls in `workers` processes; the function is one that can be pickled. Use it in a `with`."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._start()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def run(self, call: Callable[[Item], Result], items: Iterator[Item]) -> Iterator[tuple[Item, Result | None]]:
        """As `Runner.run`."""
        running: dict[Future[Result], Item] = {}
        while (suspects := self._fill(running, call, items)) or running:
            done = wait(running, return_when=FIRST_COMPLETED).done if not suspects else wait(running).done
            for future in done:
                item = running.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    suspects.append(item)
                else:
                    yield item, future.result()
            if suspects:
                for item in (*suspects, *running.values()):
                    yield item, self._alone(call, item)
                running.clear()

    def _fill(
        self, running: dict[Future[Result], Item], call: Callable[[Item], Result], items: Iterator[Item]
    ) -> list[Item]:
        """Let as many items run as may; return the one that can't, as a process died, or none."""
        while len(running) < self._workers * _AHEAD and (item := next(items, None)) is not None:
            try:
                running[self._executor.submit(call, item)] = item
            except BrokenProcessPool:
                return [item]
        return []

    def _alone(self, call: Callable[[Item], Result], item: Item) -> Result | None:
        """Call with one item while nothing else runs, in new processes if the last ones died."""
        for _ in range(2):
            try:
                return self._executor.submit(call, item).result()
            except BrokenProcessPool:
                self._stop()
                self._start()
        return None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, self._lifeline = context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(self._workers, context, _begin, (ours,))

    def _stop(self) -> None:
        """End all processes at once."""
        self._lifeline.close()
        self._executor.shutdown(cancel_futures=True)


def _begin(lifeline: Connection) -> None:
    """Make this process one that has a single thread, leaves Ctrl-C to its parent, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()


def _end_with_parent(lifeline: Connection) -> None:
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
