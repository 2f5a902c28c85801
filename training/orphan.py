"""A process that another started, and that ends when the other does: as if it had been sent SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
import time

# Who starts such a process writes its own number here.
PARENT = "NACRE_PARENT"
LOOK_EVERY_S = 1.0


def end_with_parent() -> None:
    """Watch the process that the environment names, if it names one, and end when it has ended.

    Processes that this one starts don't inherit the wish.
    """
    parent = os.environ.pop(PARENT, None)
    if parent is not None:
        threading.Thread(target=_watch, args=(int(parent),), daemon=True, name="parent watch").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
