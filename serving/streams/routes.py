"""WS /v1/stream/encode and /v1/stream/decode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from fastapi import APIRouter, WebSocket
from fastapi.exceptions import RequestValidationError

from serving.errors import ServiceError, unavailable
from serving.parameters import Parameters, parse_parameters
from serving.sockets import accept, failure_of, name_of, part
from serving.streams.exchange import Exchange, Slot
from serving.streams.limits import StreamLimits
from serving.streams.parameters import DecodeStreamParameters, EncodeStreamParameters
from serving.streams.session import Session

if TYPE_CHECKING:
    from codec.weights import LoadedPackage

# Is told `encode` or `decode`, and the seconds from the arrival of a piece until what it made certain was given.
Observe = Callable[[str, float], None]


def stream_routes(
    limits: StreamLimits,
    *,
    model_named: Callable[[str | None], LoadedPackage],
    maker_of: Callable[[bytes], LoadedPackage],
    slot: Slot,
    observe: Observe = lambda kind, seconds: None,
) -> APIRouter:
    """Return the streams.

    `model_named` finds the model to encode with, and `maker_of` the one that made a container, by the 8 bytes of its
    fingerprint; both are called in a stream's thread and may block. `slot` returns what holds a place among those
    who compute; streams give theirs up whenever they wait. `observe` is called in streams' threads.
    """
    routes = APIRouter()
    streams = _Streams(limits, slot, observe)

    @routes.websocket("/v1/stream/encode")
    async def encode(websocket: WebSocket) -> None:
        """Encode PCM as it comes."""

        def work(exchange: Exchange, parameters: EncodeStreamParameters) -> None:
            from serving.streams.encoding import encode_exchange

            encode_exchange(exchange, model_named(parameters.model), parameters, limits)

        await streams.serve(websocket, "encode", EncodeStreamParameters, work)

    @routes.websocket("/v1/stream/decode")
    async def decode(websocket: WebSocket) -> None:
        """Decode a container as it comes."""

        def work(exchange: Exchange, parameters: DecodeStreamParameters) -> None:
            from serving.streams.decoding import decode_exchange

            decode_exchange(exchange, maker_of, parameters, limits)

        await streams.serve(websocket, "decode", DecodeStreamParameters, work)

    return routes


class _Streams:
    """All streams of this worker."""

    def __init__(self, limits: StreamLimits, slot: Slot, observe: Observe) -> None:
        self._limits = limits
        self._slot = slot
        self._observe = observe
        self._threads = ThreadPoolExecutor(limits.max_streams, "nacre-stream")
        self._open = 0

    async def serve(
        self,
        websocket: WebSocket,
        kind: str,
        parameters: type[Parameters],
        work: Callable[[Exchange, Parameters], None],
    ) -> None:
        """Serve one client from the handshake to the end."""
        await accept(websocket)
        try:
            with self._place():
                chosen = parse_parameters(parameters, dict(websocket.query_params))
                exchange = Exchange(self._slot, partial(self._observe, kind))
                session = Session(websocket, exchange, self._limits)
                failure = await session.run(partial(work, exchange, chosen), self._threads)
        except (ServiceError, RequestValidationError) as error:
            failure = failure_of(error, name_of(websocket))
        await part(websocket, failure)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._open >= self._limits.max_streams:
            raise unavailable("overloaded", "too many streams at once")
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
