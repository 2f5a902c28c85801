"""A bar for one long conversion, on stderr, and only in a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def audio_progress(label: str) -> Iterator[Callable[[float, float], None]]:
    """Yield what is told the seconds done, and of how many, and shows it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(label, total=None)
        yield lambda done, whole: progress.update(bar, completed=done, total=whole)
