"""How often a job is looked at."""

from __future__ import annotations

import time
from collections.abc import Iterator

from serving.client.error import TIMEOUT, ClientError

FIRST_SECONDS = 0.1
GROWTH = 1.5
LONGEST_SECONDS = 5.0


def pauses(job_id: str, timeout: float | None) -> Iterator[float]:
    """Yield the seconds to wait before each next look, for `timeout` seconds in all, or without end.

    Raises:
        ClientError: The time is over.
    """
    end = None if timeout is None else time.monotonic() + timeout
    pause = FIRST_SECONDS
    while True:
        left = pause if end is None else end - time.monotonic()
        if left <= 0:
            raise ClientError(f"job {job_id} did not end within {timeout:g} s", code=TIMEOUT)
        yield min(pause, left)
        pause = min(pause * GROWTH, LONGEST_SECONDS)
