"""The one error of the client, and how answers and broken connections become it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from codec.errors import NacreError

UNREACHABLE = "unreachable"
TIMEOUT = "timeout"
BROKEN = "broken_answer"


class ClientError(NacreError):
    """A request failed.

    `status` and `code` are the service's (docs/api.md), as are `message`, the name `request_id` under which its log has
    the request, and `retry_after` in seconds. Without an answer there is no status, and the code is `unreachable`,
    `timeout` or `broken_answer`.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status: int | None = None,
        request_id: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after


def error_of_answer(response: httpx.Response) -> ClientError:
    """Describe an answer that refuses; one that isn't in the service's shape came from something before it."""
    status, retry_after = response.status_code, _retry_after(response.headers)
    try:
        return error_of_message(response.json(), status=status, retry_after=retry_after)
    except (ValueError, KeyError, TypeError):
        name = response.headers.get("X-Request-ID", "")
        message = f"the service answered {status} {response.reason_phrase}".rstrip()
        return ClientError(message, code="http_error", status=status, request_id=name, retry_after=retry_after)


def error_of_message(body: Any, *, status: int | None, retry_after: float | None = None) -> ClientError:
    """Describe a failure in the shape that answers and WebSockets share; KeyError or TypeError if it isn't."""
    told = body["error"]
    return ClientError(
        str(told["message"]),
        code=str(told["code"]),
        status=status,
        request_id=str(body["request_id"]),
        retry_after=retry_after,
    )


def error_of_connection(error: Exception, url: str) -> ClientError:
    """Describe a connection that failed, or an answer that didn't come in time."""
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        return ClientError(f"'{url}' did not answer in time", code=TIMEOUT)
    return ClientError(f"'{url}' can't be reached: {reason}", code=UNREACHABLE)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that Retry-After asks for, which may be a date."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return None
