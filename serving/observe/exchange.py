"""One request as it passes: what was received and sent, and how it ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from starlette.types import Message, Receive, Send

ABORTED = "aborted"
# RFC 6455, 7.4.1: all is well; and those of the codes that are the server's fault, or its state.
_NORMAL = 1000
_SERVER_CODES = frozenset({1011, 1012, 1013, 1014})
# What uvicorn answers when an app closes a WebSocket instead of accepting it.
_DENIED = 403


@dataclass
class Exchange:
    """Counts what goes through `receive` and `send`.

    `status` is HTTP's, or of a WebSocket that was accepted the code it was closed with; None before there is one.
    """

    began: float = field(default_factory=time.perf_counter)
    status: int | None = None
    received_bytes: int = 0
    sent_bytes: int = 0
    _accepted: bool = False
    _ended: bool = False
    _left: bool = False

    @property
    def seconds(self) -> float:
        """How long it took so far."""
        return time.perf_counter() - self.began

    @property
    def aborted(self) -> bool:
        """Whether the answer is not whole, or the client didn't wait for its end."""
        return self._left or not self._ended

    @property
    def outcome(self) -> str:
        """The status as a label: `2xx` to `5xx`, into which a WebSocket's codes are put too, or `aborted`."""
        if self.status is None or self.aborted:
            return ABORTED
        if not self._accepted:
            return f"{self.status // 100}xx"
        if self.status == _NORMAL:
            return "2xx"
        return "5xx" if self.status in _SERVER_CODES else "4xx"

    def receiving(self, receive: Receive) -> Receive:
        """Return `receive`, watched."""

        async def watched() -> Message:
            message = await receive()
            self._received(message)
            return message

        return watched

    def sending(self, send: Send) -> Send:
        """Return `send`, watched."""

        async def watched(message: Message) -> None:
            await send(message)
            self._sent(message)

        return watched

    def _received(self, message: Message) -> None:
        match message["type"]:
            case "http.request":
                self.received_bytes += len(message.get("body", b""))
            case "websocket.receive":
                self.received_bytes += _size(message)
            case "http.disconnect" if not self._ended:
                self._left = True
            case "websocket.disconnect" if not self._ended:
                self._left = True
                self.status = message.get("code", 1005)

    def _sent(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start" | "websocket.http.response.start":
                self.status = message["status"]
            case "http.response.body" | "websocket.http.response.body":
                self.sent_bytes += len(message.get("body", b""))
                self._ended = not message.get("more_body", False)
            case "websocket.accept":
                self._accepted = True
            case "websocket.send":
                self.sent_bytes += _size(message)
            case "websocket.close":
                self.status = message.get("code", _NORMAL) if self._accepted else _DENIED
                self._ended = True


def _size(message: Message) -> int:
    """Return the bytes of a WebSocket's message, text in UTF-8."""
    data, text = message.get("bytes"), message.get("text")
    return len(data) if data is not None else len((text or "").encode(errors="replace"))
