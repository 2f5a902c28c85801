"""Turns at starting: where there are few cores, the first worker is ready sooner if the others start after it."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path

from codec.locking import locked

POLL_SECONDS = 0.05


class Turn:
    """One of so many turns as `directory` has for all workers; waits for it. The kernel takes it from whoever dies."""

    def __init__(self, directory: Path, turns: int) -> None:
        self._held = ExitStack()
        while not any(self._takes(directory / f"turn-{number}") for number in range(turns)):
            time.sleep(POLL_SECONDS)

    def end(self) -> None:
        """Let the next one have it."""
        self._held.close()

    def _takes(self, path: Path) -> bool:
        try:
            self._held.enter_context(locked(path, BlockingIOError()))
        except BlockingIOError:
            return False
        return True


def turns_at_once() -> int:
    """Return how many workers may start at once: loading is bound by memory more than by cores."""
    return max(1, len(os.sched_getaffinity(0)) // 2)
