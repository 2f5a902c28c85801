"""A stream's messages, whoever carries them: what is sent, and what the answers mean."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from serving.client.calls import Query, as_text
from serving.client.error import BROKEN, TIMEOUT, UNREACHABLE, ClientError, error_of_message
from serving.client.results import PcmFormat, StreamSummary

PIECE_BYTES = 1 << 16
# How often it is looked whether an answer is overdue.
LOOK_SECONDS = 0.5
END = json.dumps({"type": "end"})
# How connections are opened. The service doesn't answer pings while it holds a client back, but pings of its own must
# be answered while whoever takes the answers is slow: so all that comes is read at once, which is no more than the
# service's limits allow. What goes is compressed already.
OPTIONS: Mapping[str, Any] = {"compression": None, "max_queue": None, "ping_interval": None, "close_timeout": 0.5}


class Conversation:
    """What is known of one stream so far; after everything was sent, each answer must come within `timeout` seconds."""

    def __init__(self, timeout: float) -> None:
        self.format: PcmFormat | None = None
        self.summary: StreamSummary | None = None
        self._timeout = timeout
        self._since: float | None = None

    def sent(self) -> None:
        """Note that everything was sent."""
        self._since = time.monotonic()

    def take(self, message: str | bytes) -> bytes:
        """Return the data that an answer holds, none if it holds something else.

        Raises:
            ClientError: It tells of a failure, or isn't one that a service gives.
        """
        if self._since is not None:
            self._since = time.monotonic()
        if isinstance(message, bytes):
            return message
        try:
            body = json.loads(message)
            if body["type"] == "format":
                self.format = PcmFormat.of(body)
            elif body["type"] == "done":
                self.summary = StreamSummary.of(body)
            error = error_of_message(body, status=body["status"]) if body["type"] == "error" else None
        except (ValueError, KeyError, TypeError):
            error = ClientError("the stream gave a message that no stream gives", code=BROKEN)
        if error is not None:
            raise error
        return b""

    def check_time(self) -> None:
        """Check that the next answer isn't overdue.

        Raises:
            ClientError: It is.
        """
        if self._since is not None and time.monotonic() - self._since > self._timeout:
            raise ClientError(f"the stream gave nothing for {self._timeout:g} s", code=TIMEOUT)


def stream_url(base: str, path: str, query: Query) -> str:
    """Return a stream's URL, beside the service's at `base`."""
    words = urlencode({name: as_text(value) for name, value in query.items() if value is not None})
    return f"ws{base.removeprefix('http')}{path}?{words}"


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut data into messages."""
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]


def broken(error: Exception) -> ClientError:
    """Describe a connection that ended before the stream did."""
    return ClientError(f"the stream broke off: {error}", code=UNREACHABLE)
