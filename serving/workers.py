"""How many processes serve: as many as are told, or one for each core that this process may use, one for a GPU.

Python runs one thread of a process at a time: between them, two workers of a thread answer half as many short requests
again as one worker of two threads, and each request costs half the time. Each holds the model, so there are at most
eight unless more are wished for; then models run in several threads.
"""

from __future__ import annotations

import os

from codec.errors import NacreError

WORKERS_VARIABLE = "NACRE_WORKERS"
DEVICE_VARIABLE = "NACRE_DEVICE"
MOST = 8


def number_of_workers() -> int:
    """Return what NACRE_WORKERS says, or else `default_workers`.

    Raises:
        NacreError: NACRE_WORKERS is no number from 1 on.
    """
    text = os.environ.get(WORKERS_VARIABLE) or str(default_workers())
    if not text.isdecimal() or int(text) < 1:
        raise NacreError(f"{WORKERS_VARIABLE} is {text!r}: it must be a whole number from 1 on")
    return int(text)


def default_workers() -> int:
    """Return how many workers this machine is best served by."""
    if os.environ.get(DEVICE_VARIABLE, "cpu") != "cpu":
        return 1
    return min(MOST, len(os.sched_getaffinity(0)))
