"""When a request is repeated, and how long that waits."""

from __future__ import annotations

import random
from dataclasses import dataclass

from serving.client.error import UNREACHABLE, ClientError

BUSY = frozenset({429, 503})


@dataclass(frozen=True, kw_only=True)
class Retry:
    """A request is made `attempts` times at most; 1 never repeats.

    The wait is what the service asks for in Retry-After or, if it asks for nothing, begins at `first_seconds` and
    doubles. Where it asks for more than `longest_seconds` the request fails at once.
    """

    attempts: int = 5
    first_seconds: float = 0.25
    longest_seconds: float = 60.0

    def delay(self, attempt: int, error: ClientError) -> float | None:
        """Return how long to wait after attempt number `attempt`, from 1 on, failed; None to give up."""
        if attempt >= self.attempts or not (error.status in BUSY or error.code == UNREACHABLE):
            return None
        if error.retry_after is not None:
            return error.retry_after if error.retry_after <= self.longest_seconds else None
        usual = min(self.longest_seconds, self.first_seconds * 2 ** (attempt - 1))
        return usual * random.uniform(0.5, 1.0)  # noqa: S311  # keeps clients apart, no secret
