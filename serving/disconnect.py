"""Work for a client that may go: it ends early when nobody waits for it any more."""

from __future__ import annotations

import asyncio
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
    watching = asyncio.ensure_future(_gone(request))
    watching.add_done_callback(lambda _: cancelled.set())
    try:
        result = await work(cancelled)
    except Exception:
        if cancelled.is_set():  # nobody is there to be told
            raise ClientDisconnect from None
        raise
    finally:
        watching.cancel()
    if cancelled.is_set():
        raise ClientDisconnect
    return result


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue
