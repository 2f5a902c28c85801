"""SIGINT and SIGTERM end a run in order: what is done stays, what is in flight is taken back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedError(BaseException):
    """A signal came; no `except Exception` on the way takes it for a fault."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Raise StoppedError at the first such signal; those that follow change nothing.

    Raises:
        StoppedError: One came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise StoppedError

    before = {each: signal.signal(each, stop) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
