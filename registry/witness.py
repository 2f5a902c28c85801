"""Who changes the registry, and when: what every row of it records."""

from __future__ import annotations

import datetime
import getpass
import os


def now() -> str:
    """Return the time, UTC, in ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def who() -> str:
    """Return the user's name, or the number where the system knows no name, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
