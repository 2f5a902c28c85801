"""A bar on a terminal's stderr while something long goes on, and nothing elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def with_progress(items: Iterable[T], what: str, total: int) -> Iterable[T]:
    """Pass on `items`, of which there are `total`, while a bar says `what` is being done.

    Print what they are afterwards: while a bar is drawn, rich sends what is printed to where the bar is.
    """
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, what, total=total, console=console, disable=not console.is_terminal, transient=True)
