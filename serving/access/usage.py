"""One key's use, in memory that workers share: when its last requests began, and which workers answer some now.

A moving window in two rules: the times of the last `requests_per_minute` requests are a ring, and the oldest of them
must be a minute old. Libraries for this need a server of their own beside the service, as soon as it has two workers.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from serving.access.key import Key

WINDOW_SECONDS = 60.0


class Usage:
    """What a key has in use; every call but `locked` happens inside of that."""

    def __init__(self, key: Key, directory: Path | None) -> None:
        times, places = 8 * key.requests_per_minute, 4 * key.concurrency
        self._file = os.memfd_create("usage") if directory is None else _open(directory / f"usage-{key.id}")
        weakref.finalize(self, os.close, self._file)
        os.truncate(self._file, 8 + times + places)  # zeros, and no disk for what nobody wrote
        memory = mmap.mmap(self._file, 8 + times + places)
        self._next = np.frombuffer(memory, np.uint64, 1)
        self._times = np.frombuffer(memory, np.float64, key.requests_per_minute, 8)
        self._workers = np.frombuffer(memory, np.uint32, key.concurrency, 8 + times)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the other workers out; it takes microseconds."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def has_place(self) -> bool:
        """Tell whether the key may have one request more at once; what workers had that died is forgotten."""
        if self._workers.all():
            for place, worker in enumerate(self._workers):
                if not os.path.exists(f"/proc/{worker}"):  # noqa: PTH110  # this is on the way of every request
                    self._workers[place] = 0
        return not self._workers.all()

    def seconds_to_wait(self, now: float) -> float:
        """Return how long until the key may begin another request; 0 or less if it may now."""
        oldest = float(self._times[self._place()])
        return oldest + WINDOW_SECONDS - now if oldest else 0.0

    def take(self, now: float) -> None:
        """Count a request that begins."""
        self._times[self._place()] = now
        self._next += 1
        self._workers[np.flatnonzero(self._workers == 0)[0]] = os.getpid()

    def give_back(self) -> None:
        """Count a request of this worker as over."""
        self._workers[np.flatnonzero(self._workers == os.getpid())[0]] = 0

    def _place(self) -> int:
        return int(self._next[0]) % len(self._times)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
