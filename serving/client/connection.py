"""What both clients know of the service: where it is, with which key, and how its failures become a ClientError."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from serving.client.calls import Call, Query
from serving.client.conversation import OPTIONS, stream_url
from serving.client.error import BROKEN, ClientError, error_of_answer, error_of_connection
from serving.client.retry import Retry

CONNECT_SECONDS = 10.0
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A service at `url`; `timeout` is how many seconds an answer may take to begin, or to go on."""

    url: str
    key: str | None
    timeout: float
    retry: Retry

    def __post_init__(self) -> None:
        """Check the URL.

        Raises:
            ValueError: It is none of a service.
        """
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url is {self.url!r}, but must begin with http:// or https://")

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of every request."""
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}

    def http_options(self) -> dict[str, Any]:
        """Return what an httpx client is made with."""
        timeout = httpx.Timeout(self.timeout, connect=min(self.timeout, CONNECT_SECONDS))
        return {"base_url": self.url, "headers": self.headers, "timeout": timeout}

    def socket_options(self, path: str, query: Query) -> dict[str, Any]:
        """Return what a WebSocket is opened with."""
        url = stream_url(self.url.rstrip("/"), path, query)
        timeout = min(self.timeout, CONNECT_SECONDS)
        return {"uri": url, "additional_headers": self.headers, "open_timeout": timeout, **OPTIONS}

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what goes wrong on the way to the service into a ClientError.

        Raises:
            ClientError: Something did.
        """
        try:
            yield
        except httpx.TransportError as error:
            raise error_of_connection(error, self.url) from error

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Likewise, of what opens a WebSocket.

        Raises:
            ClientError: Something went wrong, or the service refuses.
        """
        from websockets.exceptions import InvalidStatus, WebSocketException

        try:
            yield
        except InvalidStatus as error:
            given, content = error.response, bytes(error.response.body or b"")
            response = httpx.Response(given.status_code, headers=list(given.headers.raw_items()), content=content)
            raise error_of_answer(response) from None
        except (OSError, WebSocketException) as error:
            raise error_of_connection(error, self.url) from error


def read_answer(call: Call[Result], response: httpx.Response) -> Result:
    """Return what a good answer holds.

    Raises:
        ClientError: It is none.
    """
    check_answer(response)
    try:
        return call.read(response)
    except (ValueError, KeyError, TypeError) as error:
        message = f"{call.method} {call.path} was answered as no service of this version answers ({error!r})"
        raise ClientError(message, code=BROKEN, status=response.status_code) from error


def check_answer(response: httpx.Response) -> None:
    """Check that an answer, read already, is a good one.

    Raises:
        ClientError: It isn't.
    """
    if not response.is_success:
        raise error_of_answer(response)
