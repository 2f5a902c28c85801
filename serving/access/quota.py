"""What each key may use: requests in a minute, by a moving window, and requests at once, of all workers together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from serving.access.key import Key
from serving.access.usage import Usage
from serving.errors import RETRY_SECONDS, ServiceError


class Quotas:
    """Counts what every key has in use; workers that share `directory` count together."""

    def __init__(self, directory: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._clock = clock
        self._usages: dict[str, Usage] = {}

    def take(self, key: Key) -> None:
        """Count one more request of `key`, until it is given back.

        Raises:
            ServiceError: It is one too many at once, or in this minute; nothing has to be given back.
        """
        usage = self._usage(key)
        with usage.locked():
            if not usage.has_place():
                raise _too_many("too_many_at_once", f"the key takes {key.concurrency} requests at once", RETRY_SECONDS)
            if (wait := usage.seconds_to_wait(self._clock())) > 0:
                message = f"the key takes {key.requests_per_minute} requests in a minute"
                raise _too_many("rate_limited", message, max(1, math.ceil(wait)))
            usage.take(self._clock())

    def give_back(self, key: Key) -> None:
        """End one request of `key`."""
        usage = self._usage(key)
        with usage.locked():
            usage.give_back()

    def _usage(self, key: Key) -> Usage:
        if key.id not in self._usages:
            self._usages[key.id] = Usage(key, self._directory)
        return self._usages[key.id]


def _too_many(code: str, message: str, seconds: int) -> ServiceError:
    return ServiceError(429, code, f"{message}: try again in {seconds} s", {"Retry-After": str(seconds)})
