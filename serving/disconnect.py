"""Work for a client that may go: it ends early when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

Result = TypeVar("Result")


async def unless_gone(request: Request, work: Callable[[threading.Event], Coroutine[Any, Any, Result]]) -> Result:
    """Return the result of `work`, whose event is set when the client goes; the request's body must have been read.

    Raises:
        ClientDisconnect: The client went first.
    """
    cancelled = threading.Event()
    working = asyncio.ensure_future(work(cancelled))
    watching = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        cancelled.set()
        with contextlib.suppress(Exception):  # nobody is there to be told
            await working
        raise ClientDisconnect
    finally:
        cancelled.set()
        watching.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
