"""Workers listen on one address, and a connection stays with whichever took it: who has too many hands some over.

The kernel gives a new connection to the worker that is quickest at that moment, so sixteen clients may well meet one of
two workers while the other is idle. Each worker tells the others the most requests it lately had at once, in a file of
their shared folder. One that has at least two more than the least of them answers half of what it has more with
`Connection: close`: those clients connect again, and the idle one is at least as quick.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
import weakref
from collections.abc import Callable
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codec.locking import is_locked

WINDOW_SECONDS = 0.1
# How long from one look at the others to the next: connections must have gone from the two windows that count.
PAUSE_SECONDS = 2 * WINDOW_SECONDS
# When the window began, the most requests at once in it and in the one before, those of now, and open connections.
_RECORD = struct.Struct("dIIII")
_CLOSE = (b"connection", b"close")
# In place of the open connections: it takes none.
_NOT_LISTENING = 2**32 - 1

Record = tuple[float, int, int, int, int]


class LoadBoard:
    """The loads of all workers of one parent that share `directory`; a worker that died is forgotten."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._directory = directory
        self._service = f"load-{os.getppid()}-"  # a folder of BentoML's may be that of other services too
        self._path = directory / f"{self._service}{os.getpid()}"
        self._file = _locked_file(self._path)
        weakref.finalize(self, os.close, self._file)
        self._record = mmap.mmap(self._file, _RECORD.size)
        self._began, self._peaks, self._now = clock(), (0, 0), 0
        self._looked, self._surplus = 0.0, 0
        self._connections = _NOT_LISTENING
        self._write()

    def enter(self) -> None:
        """Count a request."""
        self._count(1)

    def leave(self) -> None:
        """Count a request as over."""
        self._count(-1)

    def hands_over(self) -> bool:
        """Tell whether the connection that is answered should go to another worker."""
        now = self._clock()
        if now - self._looked >= PAUSE_SECONDS:
            own = self._load(now)
            least = min((_load(record, now) for record in self._records()), default=own)
            self._looked, self._surplus = now, (own - least) // 2
        self._surplus -= 1
        return self._surplus >= 0

    def set_connections(self, count: int | None) -> None:
        """Tell the others how many connections are open here; None if none is taken any more."""
        count = _NOT_LISTENING if count is None else count
        if count != self._connections:
            self._connections = count
            self._write()

    def has_more_connections(self, count: int) -> bool:
        """Tell whether `count` is more than another worker has."""
        return any(record[-1] < count for record in self._records())

    def _count(self, step: int) -> None:
        now = self._clock()
        age = now - self._began
        if age >= WINDOW_SECONDS:
            before = self._peaks[0] if age < 2 * WINDOW_SECONDS else self._now
            self._began, self._peaks = now, (self._now, before)
        self._now += step
        self._peaks = (max(self._peaks[0], self._now), self._peaks[1])
        self._write()

    def _write(self) -> None:
        _RECORD.pack_into(self._record, 0, self._began, *self._peaks, self._now, self._connections)

    def _load(self, now: float) -> int:
        return _load((self._began, *self._peaks, self._now, self._connections), now)

    def _records(self) -> list[Record]:
        """Return what those of the others wrote that listen."""
        records = (_read(path) for path in self._directory.glob(f"{self._service}*") if path != self._path)
        return [record for record in records if record is not None and record[-1] != _NOT_LISTENING]


class BalanceMiddleware:
    """Count this worker's requests on `board`, and let connections go that others have more room for."""

    def __init__(self, app: ASGIApp, board: LoadBoard) -> None:
        self.app = app
        self._board = board

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; a WebSocket counts as long as it is open."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        self._board.enter()
        try:
            await self.app(scope, receive, self._closing(send) if scope["type"] == "http" else send)
        finally:
            self._board.leave()

    def _closing(self, send: Send) -> Send:
        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start" and self._board.hands_over():
                message = {**message, "headers": [*message.get("headers", ()), _CLOSE]}
            await send(message)

        return send_and_close


def _locked_file(path: Path) -> int:
    """Open a new file that is locked before anybody can see it; the kernel unlocks it when this process dies."""
    hidden = path.with_name(f".{path.name}")
    file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    os.truncate(file, _RECORD.size)
    hidden.rename(path)
    return file


def _load(record: Record, now: float) -> int:
    """Return the most requests at once of the last window or two."""
    began, peak, before, current, _ = record
    age = now - began
    if age < WINDOW_SECONDS:
        return max(peak, before)
    return peak if age < 2 * WINDOW_SECONDS else current


def _read(path: Path) -> Record | None:
    """Return what a worker wrote, or None if it died."""
    if not is_locked(path):
        path.unlink(missing_ok=True)
        return None
    try:
        record: Record = _RECORD.unpack(path.read_bytes())
        return record
    except FileNotFoundError:  # it died just now, and another looked
        return None
