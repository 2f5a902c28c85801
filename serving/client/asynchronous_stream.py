"""A stream whose answers are awaited, while a task sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from serving.client.conversation import END, LOOK_SECONDS, Conversation, broken, pieces
from serving.client.results import PcmFormat, StreamSummary

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

Source = Iterable[bytes] | AsyncIterable[bytes]


class AsyncStream:
    """A stream's data, piece by piece; `aclose`, or leaving its `async with`, ends it early.

    Taking a piece raises ClientError where the service refuses, and whatever the source raises.
    """

    def __init__(self, connect: Callable[[], Awaitable[ClientConnection]], source: Source, timeout: float) -> None:
        self._conversation = Conversation(timeout)
        self._answers = _converse(connect, source, self._conversation)

    @property
    def format(self) -> PcmFormat | None:
        """What decoded PCM is; known with the first piece."""
        return self._conversation.format

    @property
    def summary(self) -> StreamSummary | None:
        """The totals; known after the last piece."""
        return self._conversation.summary

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._answers)

    async def aclose(self) -> None:
        """End the stream; what is left of it is not waited for."""
        await self._answers.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


async def _converse(
    connect: Callable[[], Awaitable[ClientConnection]], source: Source, conversation: Conversation
) -> AsyncGenerator[bytes, None]:
    from websockets.exceptions import ConnectionClosed

    faults: list[Exception] = []
    async with await connect() as websocket:
        feeding = asyncio.create_task(_feed(websocket, source, conversation, faults))
        try:
            while conversation.summary is None:
                try:
                    async with asyncio.timeout(LOOK_SECONDS):
                        message = await websocket.recv()
                except TimeoutError:
                    conversation.check_time()
                    continue
                if data := conversation.take(message):
                    yield data
        except ConnectionClosed as error:
            raise (faults[0] if faults else broken(error)) from None
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])


async def _feed(
    websocket: ClientConnection, source: Source, conversation: Conversation, faults: list[Exception]
) -> None:
    """Send all that the source gives; what it raises goes to `faults`, and ends the stream."""
    from websockets.exceptions import ConnectionClosed

    try:
        async for data in _awaited(source):
            for piece in pieces(data):
                await websocket.send(piece)
        await websocket.send(END)
        conversation.sent()
    except ConnectionClosed:
        return  # whoever takes the answers hears of it
    except Exception as error:  # whatever it is, it is raised where the answers are taken
        faults.append(error)
        await websocket.close()


async def _awaited(source: Source) -> AsyncIterator[bytes]:
    if isinstance(source, AsyncIterable):
        async for data in source:
            yield data
    else:
        for data in source:
            yield data
            await asyncio.sleep(0)  # sending alone may never let others run
