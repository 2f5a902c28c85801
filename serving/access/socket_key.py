"""The key as a WebSocket's first message, `{"type": "key", "key": ...}`: browsers can't set headers there.

The socket has to be accepted before a message comes through it. The app behind sees nothing of that: it gets its
`websocket.connect`, its own accept is swallowed (with what it says of subprotocols and headers), and the first message
it receives is the one after the key.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Iterator

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from serving.access.keyring import CHALLENGE
from serving.errors import ServiceError, unavailable

KEY_SECONDS = 5.0
MAX_MESSAGE_LENGTH = 1024
# WebSockets that were accepted and whose key has not come: of one worker, and of one address.
MAX_WAITING = 256
MAX_WAITING_EACH = 16
_DENIAL = "websocket.http.response"


class WaitingRoom:
    """Bounds the WebSockets whose key has not come yet."""

    def __init__(self) -> None:
        self._waiting: Counter[str] = Counter()

    @contextlib.contextmanager
    def place(self, address: str) -> Iterator[None]:
        """Hold a place for one of `address`.

        Raises:
            ServiceError: Too many wait already.
        """
        if self._waiting.total() >= MAX_WAITING or self._waiting[address] >= MAX_WAITING_EACH:
            raise unavailable("overloaded", "too many connections wait for their key")
        self._waiting[address] += 1
        try:
            yield
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]


async def receive_key(websocket: WebSocket) -> str:
    """Return the key that an accepted WebSocket's first message is.

    Raises:
        ServiceError: The message is none, or didn't come in time.
        WebSocketDisconnect: There is nobody to answer.
    """
    try:
        async with asyncio.timeout(KEY_SECONDS):
            message = await websocket.receive()
    except TimeoutError:
        raise _missing() from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    if (key := _key_in(message)) is None:
        raise _missing()
    return key


async def go_on(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Give a WebSocket that was accepted already to `app`, as if it were new."""
    waiting: list[Message] = [{"type": "websocket.connect"}]
    accepted = False

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    async def send_once(message: Message) -> None:
        nonlocal accepted
        if message["type"] == "websocket.accept" and not accepted:
            accepted = True
            return
        await send(message)

    # Where this extension is, an app may deny with an HTTP answer instead of its accept; now it can only close.
    extensions = scope.get("extensions") or {}
    scope["extensions"] = {name: value for name, value in extensions.items() if name != _DENIAL}
    await app(scope, receive_again, send_once)


def _key_in(message: Message) -> str | None:
    """Return the key in a message, or None if it is another message."""
    text = message.get("text")
    if not isinstance(text, str) or len(text) > MAX_MESSAGE_LENGTH:
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("type") != "key":
        return None
    key = content.get("key")
    return key if isinstance(key, str) else None


def _missing() -> ServiceError:
    message = f'the first message has to be {{"type": "key", "key": ...}}, within {KEY_SECONDS:g} s'
    return ServiceError(401, "no_key", message, CHALLENGE)
