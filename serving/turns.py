"""Turns at starting: where there are few cores, the first worker is ready sooner if the others start after it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

POLL_SECONDS = 0.05


class Turn:
    """One of so many turns as `directory` has for all workers; waits for it. The kernel takes it from whoever dies."""

    def __init__(self, directory: Path, turns: int) -> None:
        self._file: int | None = None
        while self._file is None:
            self._file = next(filter(None, (_lock(directory / f"turn-{number}") for number in range(turns))), None)
            if self._file is None:
                time.sleep(POLL_SECONDS)

    def end(self) -> None:
        """Let the next one have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def turns_at_once() -> int:
    """Return how many workers may start at once: loading is bound by memory more than by cores."""
    return max(1, len(os.sched_getaffinity(0)) // 2)


def _lock(path: Path) -> int | None:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file
