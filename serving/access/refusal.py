"""Refusals before a route is reached, in the one shape of each kind of request."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from serving.errors import ServiceError, error_response
from serving.sockets import Failure, part


async def refuse(scope: Scope, receive: Receive, send: Send, error: ServiceError) -> None:
    """Answer an HTTP request with `error`."""
    response = error_response(Request(scope), error.status, error.code, str(error), error.headers)
    await response(scope, receive, send)


async def refuse_socket(websocket: WebSocket, error: ServiceError) -> None:
    """Tell a WebSocket of `error`, accepting it for that, and close it; a client that is gone isn't told."""
    await part(websocket, Failure(status=error.status, code=error.code, message=str(error)))
