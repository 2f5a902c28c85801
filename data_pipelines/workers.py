"""Worker processes that survive what they are fed: a file that crashes the decoder costs one item, not the run.

Workers are spawned (forking a process that has threads, as torch's has, can hang), ignore Ctrl-C (the parent handles
it), have no stderr (the decoders' C libraries chat there, into the parent's progress bar; errors travel as results)
and end when their parent does, even if it is killed.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
# A process costs about half a second to start: one for every few items.
ITEMS_PER_PROCESS = 4


class Crash:
    """The result of an item whose process died."""


class Workers(Generic[Item, Result]):
    """Runs `function` (picklable) on items in up to `jobs` processes; one job runs in this process, without a net."""

    def __init__(self, function: Callable[[Item], Result], jobs: int) -> None:
        self._function = function
        self._jobs = jobs

    def run(self, items: Iterable[Item]) -> Iterator[tuple[Item, Result | Crash]]:
        """Yield each item with its result, in the order in which they are done.

        Raises:
            Exception: What `function` raised.
        """
        queue = deque(items)
        jobs = min(self._jobs, -(-len(queue) // ITEMS_PER_PROCESS))
        if jobs <= 1:
            for item in queue:
                yield item, self._function(item)
            return
        while queue:
            suspects = yield from self._until_crash(queue, jobs)
            for suspect in suspects:
                if (yield from self._until_crash(deque([suspect]), 1)):
                    yield suspect, Crash()

    def _until_crash(self, queue: deque[Item], jobs: int) -> Generator[tuple[Item, Result], None, list[Item]]:
        """Work off the queue; when a process dies, return the items that were in flight."""
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker)
        running: dict[Future[Result], Item] = {}
        try:
            while queue or running:
                while queue and len(running) < 2 * jobs:
                    future = pool.submit(self._function, queue[0])
                    running[future] = queue.popleft()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    yield running.pop(future), result
        except BrokenProcessPool:
            return list(running.values())
        finally:
            pool.shutdown(cancel_futures=True)
        return []


def leave_signals_to_parent(worker: int) -> None:
    """Let this worker of a DataLoader live on when the job's processes are all asked to stop; its parent ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    end_with_parent()


def end_with_parent() -> None:
    """Let this process, which multiprocessing started, end at once when its parent ends, even if that is killed."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    os._exit(1)
