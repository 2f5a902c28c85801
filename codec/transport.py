"""What reading and writing files elsewhere raises, through fsspec's HTTP and S3 clients, and how it is told.

None of those clients need be installed, and none is imported before it is asked for.
"""

from __future__ import annotations

import re
from contextlib import suppress


def transport_errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """Return OSError, what the HTTP and S3 clients that are installed raise besides, and `more`."""
    errors: list[type[Exception]] = [OSError, *more]
    with suppress(ImportError):
        from aiohttp import ClientError

        errors.append(ClientError)
    with suppress(ImportError):
        from botocore.exceptions import BotoCoreError

        errors.append(BotoCoreError)
    return tuple(errors)


def reason_of(error: BaseException) -> str:
    """Return what an error says in one line, or its kind if it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def without_password(url: str) -> str:
    """Return a URL as it may be shown: a password is nobody's business."""
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", url)
