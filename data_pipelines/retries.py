"""Retries of network reads: what may pass is tried again after growing pauses; what can't is raised at once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from codec.errors import DamageError, DataError
from codec.transport import transport_errors

Result = TypeVar("Result")

# Half a minute in all, with up to half as much again at random: readers that failed together don't return together.
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
# Statuses below 500 that mean "later": request timeout, too many requests.
PASSING_STATUSES = (408, 425, 429)


def with_retries(fetch: Callable[[], Result], what: str) -> Result:
    """Return what `fetch` returns, trying again after transient errors, and once after a DamageError.

    Raises:
        DamageError: What was fetched was damaged twice.
        DataError: The last try failed as well.
        OSError: The error is one that doesn't pass: the file is missing, or forbidden.
    """
    was_damaged = False
    for pause in (*PAUSES_S, None):
        try:
            return fetch()
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            raise
        except DamageError:
            if was_damaged or pause is None:
                raise
            was_damaged = True
        except transport_errors() as error:
            reason = f"{type(error).__name__}: {error}".rstrip(": ")
            if not _may_pass(error):
                raise DataError(f"{what} can't be read ({reason})") from None
            if pause is None:
                tries = len(PAUSES_S) + 1
                raise DataError(f"{what} can't be reached, {tries} times ({reason}): check the network") from None
        time.sleep(pause * random.uniform(1.0, 1.5))  # noqa: S311  # not for secrets
    raise AssertionError("the last try returns or raises")


def _may_pass(error: Exception) -> bool:
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status >= 500 or status in PASSING_STATUSES
    return "Credential" not in type(error).__name__
