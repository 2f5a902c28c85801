"""A bar for one long conversion, on stderr, and only in a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def share_progress(label: str) -> Iterator[Callable[[float], None]]:
    """Yield what is told the share done, from 0 to 1, and shows it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(label, total=1.0)
        yield lambda share: progress.update(bar, completed=share)
