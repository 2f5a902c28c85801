"""What a stream's thread has of its client: bytes to read, bytes and messages to write.

The thread's calls block. The event loop's side is that of serving/streams/session.py. At most `PIECES` pieces of
`PIECE_BYTES` wait in each direction.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import io
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, TypeVar

PIECE_BYTES = 1 << 16
PIECES = 16
# Holds a place among those who compute.
Slot = Callable[[], AbstractContextManager[object]]
# Is told the seconds from the arrival of a piece until what it made certain was given.
Observe = Callable[[float], None]
Result = TypeVar("Result")


class AbandonedError(Exception):
    """The client has gone: nobody wants the result."""


class Exchange:
    """One stream's bytes and messages, in both directions; to be made in the event loop."""

    def __init__(self, slot: Slot, observe: Observe) -> None:
        self._turn = _Turn(slot)
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        # Pieces with the time at which they came; an empty one is the end.
        self._incoming: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES)
        self._outgoing: asyncio.Queue[bytes | str | None] = asyncio.Queue(PIECES)
        self._held = io.BytesIO()
        self._arrived = 0.0
        self._ended = False
        self._lock = threading.Lock()
        self._waiting: concurrent.futures.Future[Any] | None = None
        self._abandoned = False

    # The event loop's side.

    async def put(self, data: bytes) -> None:
        """Hand on what the client sent; wait while the thread is behind."""
        for piece in _cut(data):
            await self._incoming.put((time.monotonic(), piece))

    async def end(self) -> None:
        """Say that the client sends no more."""
        await self._incoming.put((time.monotonic(), b""))

    async def given(self) -> bytes | str | None:
        """Return what is to be sent to the client next; None after the last."""
        return await self._outgoing.get()

    def abandon(self) -> None:
        """Make whatever the thread waits for, now or later, end with AbandonedError."""
        with self._lock:
            self._abandoned = True
            if self._waiting is not None:
                self._waiting.cancel()

    # The thread's side.

    def computing(self) -> AbstractContextManager[None]:
        """Hold a place among those who compute, but for the time that a call of this exchange waits."""
        return self._turn.held()

    def read(self, count: int) -> bytes:
        """Return the next bytes, at most `count`, waiting for the first of them; none at the end.

        Raises:
            AbandonedError: The client has gone.
        """
        data = self._held.read(count)
        if not data and not self._ended:
            self._refill()
            data = self._held.read(count)
        return data

    def write(self, data: bytes) -> None:
        """Give bytes to the client; wait while it takes none.

        Raises:
            AbandonedError: The client has gone.
        """
        self._observe(time.monotonic() - self._arrived)
        for piece in _cut(data):
            self._wait(self._outgoing.put(piece))

    def tell(self, **message: object) -> None:
        """Give a message to the client, which goes as JSON.

        Raises:
            AbandonedError: The client has gone.
        """
        self._wait(self._outgoing.put(json.dumps(message)))

    def finish(self) -> None:
        """Say that nothing more is given.

        Raises:
            AbandonedError: The client has gone.
        """
        self._wait(self._outgoing.put(None))

    def _refill(self) -> None:
        """Take everything that has come, waiting for the first of it."""
        pieces = self._wait(self._take_all())
        self._arrived = pieces[-1][0]
        self._ended = not pieces[-1][1]
        self._held = io.BytesIO(b"".join(data for _, data in pieces))

    async def _take_all(self) -> list[tuple[float, bytes]]:
        pieces = [await self._incoming.get()]
        while not self._incoming.empty():
            pieces.append(self._incoming.get_nowait())
        return pieces

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return what `work` gives in the event loop, and give the place up meanwhile."""
        with self._turn.given_up():
            with self._lock:
                if self._abandoned:
                    work.close()
                    raise AbandonedError
                self._waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
            try:
                return self._waiting.result()
            except concurrent.futures.CancelledError:
                raise AbandonedError from None
            finally:
                self._waiting = None  # when cancelled it holds frames, and they this


class _Turn:
    """A place among those who compute."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._place = ExitStack()
        self._is_held = False

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._place:
            self._place.enter_context(self._slot())
            self._is_held = True
            try:
                yield
            finally:
                self._is_held = False

    @contextmanager
    def given_up(self) -> Iterator[None]:
        """Do without one that is held, and take one again at the end, unless an error ends the work anyway."""
        self._place.close()
        yield
        if self._is_held:
            self._place.enter_context(self._slot())


def _cut(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]
