"""How workers of one address take connections: the one that has the fewest first.

Uvicorn leaves it to the kernel, where whoever is quickest wins: of sixteen clients that come together, one worker may
get all. Requests that take seconds are then slow for as long, however soon balance.py evens them out. So a worker that
has more connections than another waits some milliseconds before it takes one more; by then the other has it, unless it
is stuck.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sized

import uvicorn

from serving.balance import LoadBoard
from serving.observe.directory import use_directory
from serving.turns import Turn, turns_at_once
from serving.workers import number_of_workers

WAIT_SECONDS = 0.001
MOST_WAITS = 20
# How long nothing is taken after the system had no room for a connection.
PAUSE_SECONDS = 1.0

logger = logging.getLogger("nacre.serving")


class EvenServer(uvicorn.Server):
    """Uvicorn's server, whose listeners are ours if workers share a board."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._board: LoadBoard | None = None
        shared = use_directory()
        self._turn = None if shared is None or number_of_workers() == 1 else Turn(shared, turns_at_once())

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, and then to listen."""
        from serving.assembly import assembled

        self._board = assembled().board
        if self._board is None or sockets is None:
            await super().startup(sockets)
            return
        await super().startup(sockets=[])
        for one in sockets:
            one.listen(self.config.backlog)
            listener = Listener(one, self._protocol, self._board, self.server_state.connections)
            self.servers.append(listener)  # type: ignore[arg-type]  # all that is asked of it is to close
        self._board.set_connections(0)
        if self._turn is not None:
            self._turn.end()

    async def on_tick(self, counter: int) -> bool:
        """Do ten times a second what uvicorn does, and tell the others how many connections there are."""
        ends = await super().on_tick(counter)
        if self._board is not None:
            self._board.set_connections(None if ends else len(self.server_state.connections))
        return ends

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


class Listener:
    """Takes connections from `sock`, each for a protocol that `make` returns, as long as it isn't closed."""

    def __init__(
        self, sock: socket.socket, make: Callable[[], asyncio.Protocol], board: LoadBoard, connections: Sized
    ) -> None:
        self._sock = sock
        self._make = make
        self._board = board
        self._connections = connections
        self._opening: set[asyncio.Task[object]] = set()
        self._waits = 0
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        self._resume()

    def close(self) -> None:
        """Take no more; those that were taken stay."""
        self._loop.remove_reader(self._sock)
        if self._timer is not None:
            self._timer.cancel()

    async def wait_closed(self) -> None:
        """Return once nothing is being opened any more."""
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _resume(self) -> None:
        self._loop.add_reader(self._sock, self._take)

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._sock)
        self._timer = self._loop.call_later(seconds, self._resume)

    def _take(self) -> None:
        """Take one connection that waits, or leave it to another worker for a while."""
        count = len(self._connections) + len(self._opening)
        if self._waits < MOST_WAITS and self._board.has_more_connections(count):
            self._waits += 1
            self._rest(WAIT_SECONDS)
            return
        self._waits = 0
        try:
            connection, _ = self._sock.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):  # another was faster, or it has gone
            return
        except OSError as error:
            logger.error("no connection can be taken for %g s: %s", PAUSE_SECONDS, error)
            self._rest(PAUSE_SECONDS)
            return
        self._board.set_connections(count + 1)
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._make, connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
