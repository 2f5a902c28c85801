"""Progress of a long loop, on stderr: a bar with rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

PLAIN_INTERVAL_S = 10.0

Advance = Callable[[], None]


@contextmanager
def progress_bar(what: str, total: int, unit: str, *, shown: bool = True) -> Iterator[Advance]:
    """Yield a function to call after each of `total` steps; with `shown=False` it does nothing."""
    console = Console(stderr=True)
    if not shown or total == 0:
        yield lambda: None
    elif console.is_terminal:
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), _Rate(unit), TimeRemainingColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(what, total=total)
            yield lambda: progress.advance(task)
    else:
        yield _plain(console, what, total, unit)


class _Rate(ProgressColumn):
    """Units per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        """Return the column's text."""
        return Text(f"{task.speed:.1f} {self._unit}/s" if task.speed else "")


def _plain(console: Console, what: str, total: int, unit: str) -> Advance:
    start = last = time.monotonic()
    done = 0

    def advance() -> None:
        nonlocal done, last
        done += 1
        now = time.monotonic()
        if done < total and now - last < PLAIN_INTERVAL_S:
            return
        last = now
        rate = done / max(now - start, 1e-3)
        left = f", {(total - done) / rate:.0f} s left" if done < total else ""
        console.print(f"{what}: {done}/{total} {unit}, {rate:.1f}/s{left}", highlight=False)

    return advance
