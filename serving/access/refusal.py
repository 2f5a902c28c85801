"""Refusals before a route is reached, in the shape of serving/errors.py or, on a WebSocket, of serving/streams."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from serving.access.socket_key import accept
from serving.errors import ServiceError, error_response

# RFC 6455, 7.4.1, and the registry of IANA: what the client did wrong, and what it may try again.
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013
# How long a client may take to hear of it.
FAREWELL_SECONDS = 2.0


async def refuse(scope: Scope, receive: Receive, send: Send, error: ServiceError) -> None:
    """Answer an HTTP request with `error`."""
    scope["state"]["error_code"] = error.code
    response = error_response(Request(scope), error.status, error.code, str(error), error.headers)
    await response(scope, receive, send)


async def refuse_socket(websocket: WebSocket, error: ServiceError) -> None:
    """Tell a WebSocket of `error`, accepting it for that, and close it; a client that is gone isn't told."""
    state = websocket.scope["state"]
    state["error_code"] = error.code
    told = {"code": error.code, "message": str(error)}
    try:
        async with asyncio.timeout(FAREWELL_SECONDS):
            if websocket.application_state is WebSocketState.CONNECTING:
                await accept(websocket)
            name = state["request_id"]
            await websocket.send_json({"type": "error", "status": error.status, "error": told, "request_id": name})
            code = TRY_AGAIN_LATER if error.status in (429, 503) else POLICY_VIOLATION
            await websocket.close(code, error.code)
    except (WebSocketDisconnect, RuntimeError, TimeoutError):  # Starlette raises either of the first two
        return
