"""A stream whose answers are waited for, while a thread sends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from serving.client.conversation import END, LOOK_SECONDS, Conversation, broken, pieces
from serving.client.results import PcmFormat, StreamSummary

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection


class Stream:
    """A stream's data, piece by piece; `close`, or leaving its `with`, ends it early.

    Taking a piece raises ClientError where the service refuses, and whatever the source raises.
    """

    def __init__(self, connect: Callable[[], ClientConnection], source: Iterable[bytes], timeout: float) -> None:
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

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return next(self._answers)

    def close(self) -> None:
        """End the stream; what is left of it is not waited for."""
        self._answers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _converse(
    connect: Callable[[], ClientConnection], source: Iterable[bytes], conversation: Conversation
) -> Generator[bytes, None, None]:
    from websockets.exceptions import ConnectionClosed

    faults: list[Exception] = []
    with connect() as websocket:
        # A daemon: its source may wait for ever for something to send.
        threading.Thread(target=_feed, args=(websocket, source, conversation, faults), daemon=True).start()
        try:
            while conversation.summary is None:
                try:
                    data = conversation.take(websocket.recv(LOOK_SECONDS))
                except TimeoutError:
                    conversation.check_time()
                    continue
                if data:
                    yield data
        except ConnectionClosed as error:
            raise (faults[0] if faults else broken(error)) from None


def _feed(
    websocket: ClientConnection, source: Iterable[bytes], conversation: Conversation, faults: list[Exception]
) -> None:
    """Send all that the source gives; what it raises goes to `faults`, and ends the stream."""
    from websockets.exceptions import ConnectionClosed

    try:
        for data in source:
            for piece in pieces(data):
                websocket.send(piece)
        websocket.send(END)
        conversation.sent()
    except ConnectionClosed:
        return  # whoever takes the answers hears of it
    except Exception as error:  # whatever it is, it is raised where the answers are taken
        faults.append(error)
        websocket.close()
