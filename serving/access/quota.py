"""What each key may use: requests in a minute, by a moving window, and requests at once; counted in each worker."""

from __future__ import annotations

import math
import time
from collections import Counter

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from serving.access.key import Key
from serving.errors import RETRY_SECONDS, ServiceError


class Quotas:
    """Counts what every key has in use."""

    def __init__(self) -> None:
        self._windows = MovingWindowRateLimiter(MemoryStorage())
        self._active: Counter[str] = Counter()

    def take(self, key: Key) -> None:
        """Count one more request of `key`, until it is given back.

        Raises:
            ServiceError: It is one too many at once, or in this minute; nothing has to be given back.
        """
        if self._active[key.id] >= key.concurrency:
            raise _too_many("too_many_at_once", f"the key takes {key.concurrency} requests at once", RETRY_SECONDS)
        window = RateLimitItemPerMinute(key.requests_per_minute)
        if not self._windows.hit(window, key.id):
            wait = self._windows.get_window_stats(window, key.id).reset_time - time.time()
            message = f"the key takes {key.requests_per_minute} requests in a minute"
            raise _too_many("rate_limited", message, max(1, math.ceil(wait)))
        self._active[key.id] += 1

    def give_back(self, key: Key) -> None:
        """End one request of `key`."""
        self._active[key.id] -= 1
        if not self._active[key.id]:
            del self._active[key.id]


def _too_many(code: str, message: str, seconds: int) -> ServiceError:
    return ServiceError(429, code, f"{message}: try again in {seconds} s", {"Retry-After": str(seconds)})
