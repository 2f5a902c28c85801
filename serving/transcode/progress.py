"""What a run shows while it works: a live line on a terminal, plain lines now and then elsewhere, and each failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from serving.transcode.manifest import Record
from serving.transcode.tally import Tally

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

EVERY_SECONDS = 1.0
# Between lines of a log.
LOG_SECONDS = 30.0


class View(Protocol):
    """Something that shows a tally."""

    def show(self, tally: Tally) -> None:
        """Show how far the run is; called every second, and at the end."""
        ...


@contextmanager
def shown(tally: Tally, *views: View) -> Iterator[None]:
    """Let views show a tally from a thread of their own, until the block ends, and then once more."""
    ended = threading.Event()

    def show() -> None:
        while not ended.wait(EVERY_SECONDS):
            for view in views:
                view.show(tally)

    thread = threading.Thread(target=show, name="nacre-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for view in views:
            view.show(tally)


@contextmanager
def terminal_view(tally: Tally) -> Iterator[View]:
    """Yield what shows a tally on stderr; failures are shown as they come."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False, soft_wrap=True)

    def fail(record: Record) -> None:
        console.print(escape(f"failed: {record.source}: {record.reason}"))

    tally.on_failure = fail
    if not console.is_terminal:
        yield _Lines(console)
        return
    with console.status(describe(tally)) as status:
        yield _Line(status)


class _Line:
    """A line that is written over."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def show(self, tally: Tally) -> None:
        self._status.update(describe(tally))


class _Lines:
    """A line of a log every `LOG_SECONDS`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = time.monotonic() + LOG_SECONDS

    def show(self, tally: Tally) -> None:
        if time.monotonic() >= self._next:
            self._next += LOG_SECONDS
            self._console.print(describe(tally))


def describe(tally: Tally) -> str:
    """Say in a line how far a run is."""
    if tally.stage == "planning":
        return f"planning: {tally.files:,} files, {size(tally.num_bytes)}"
    parts = [f"{tally.settled:,} of {tally.files:,} files", f"{tally.audio_seconds_so_far / 3600:.2f} h of audio done"]
    if tally.real_time_factor:
        parts.append(f"{tally.real_time_factor:.0f} times real time")
    if tally.eta_seconds is not None and tally.stage == "running":
        parts.append(f"{duration(tally.eta_seconds)} left")
    parts.append(f"{tally.failed:,} failed")
    return f"{tally.stage}: " + ", ".join(parts)


def duration(seconds: float) -> str:
    """Say how long something takes, as `3:05:09` or `5:09`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size(num_bytes: float) -> str:
    """Say how much something takes."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if num_bytes < 1000 or unit == "TB":
            break
        num_bytes /= 1000
    return f"{num_bytes:.0f} {unit}" if unit == "bytes" else f"{num_bytes:.1f} {unit}"
