"""The event loop's side of one stream: what the client sends goes to the thread, and what that gives to the client."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TypeVar

from starlette.websockets import WebSocket, WebSocketDisconnect

from codec.errors import LimitError
from serving.errors import ServiceError
from serving.sockets import Failure, failure_of, name_of
from serving.streams.exchange import AbandonedError, Exchange
from serving.streams.limits import StreamLimits

Result = TypeVar("Result")


class Session:
    """A client's stream, from its first message to the last."""

    def __init__(self, websocket: WebSocket, exchange: Exchange, limits: StreamLimits) -> None:
        self._websocket = websocket
        self._exchange = exchange
        self._limits = limits
        self._begun = False

    async def run(self, work: Callable[[], None], threads: Executor) -> Failure | None:
        """Run `work`, which talks through the exchange, in a thread, until all that it gave has been sent.

        Return why that failed, if it did: by an error of `work`, or by what the client sent, or failed to send or take.
        It is no failure that the client went away.
        """
        working = asyncio.get_running_loop().run_in_executor(threads, self._work, work)
        receiving = asyncio.create_task(self._outcome(self._receive()))
        sending = asyncio.create_task(self._outcome(self._send()))
        try:
            await asyncio.wait((receiving, sending), return_when=asyncio.FIRST_COMPLETED)
            ended = sending if sending.done() else receiving
        finally:
            self._exchange.abandon()
            receiving.cancel()
            sending.cancel()
            await asyncio.wait((working, receiving, sending))
        return ended.result() or working.result()

    def _work(self, work: Callable[[], None]) -> Failure | None:
        """Return why `work` failed, if it did, having said that it gives no more."""
        failure = self._attempt(work)
        with contextlib.suppress(AbandonedError):
            self._exchange.finish()
        return failure

    def _attempt(self, work: Callable[[], None]) -> Failure | None:
        """Return why `work` failed, if it did."""
        try:
            work()
        except AbandonedError:
            return None  # whoever abandoned it knows why
        except Exception as error:  # whatever it is, the stream ends with it
            return failure_of(error, name_of(self._websocket))
        return None

    async def _outcome(self, task: Awaitable[None]) -> Failure | None:
        """Return why `task` failed, if it did."""
        try:
            await task
        except WebSocketDisconnect:
            return None
        except Exception as error:  # whatever it is, the stream ends with it
            return failure_of(error, name_of(self._websocket))
        return None

    async def _receive(self) -> None:
        """Hand on what the client sends, and see it go."""
        while (data := await self._next_data()) is not None:
            await self._exchange.put(data)
        await self._exchange.end()
        if (await self._websocket.receive())["type"] != "websocket.disconnect":
            raise ServiceError(400, "bad_message", "nothing may follow the message that ends the stream")
        raise WebSocketDisconnect

    async def _next_data(self) -> bytes | None:
        """Return the next binary message, None for the text that ends the stream; a key before all was for others."""
        message = await self._unless_idle(self._websocket.receive(), "sent")
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect
        begun, self._begun = self._begun, True
        data: bytes | None = message.get("bytes")
        if data is not None:
            if len(data) > self._limits.max_message_bytes:
                raise LimitError(f"a message is larger than the {self._limits.max_message_bytes} bytes allowed")
            return data
        kind = _type_of(message["text"])
        if kind == "end":
            return None
        if kind == "key" and not begun:
            return b""
        raise ServiceError(400, "bad_message", 'send binary messages, and {"type": "end"} after the last')

    async def _send(self) -> None:
        """Send the client what the thread gives."""
        while (given := await self._exchange.given()) is not None:
            sending = self._websocket.send_text(given) if isinstance(given, str) else self._websocket.send_bytes(given)
            await self._unless_idle(sending, "took")

    async def _unless_idle(self, wait: Awaitable[Result], what: str) -> Result:
        try:
            async with asyncio.timeout(self._limits.idle_seconds):
                return await wait
        except TimeoutError:
            message = f"the client {what} nothing for {self._limits.idle_seconds:g} s"
            raise ServiceError(408, "stream_idle", message) from None


def _type_of(text: str) -> object:
    """Return the type of a message in JSON; None if it is none."""
    try:
        message = json.loads(text)
    except ValueError:
        return None
    return message.get("type") if isinstance(message, dict) else None
