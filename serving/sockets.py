"""A WebSocket's beginning and end: it is told the name of its request, and a failure in the shape of HTTP's.

A failure is a message with a type and a status, then a close code:

{"type": "error", "status": 400, "error": {"code": "bad_audio", "message": "..."}, "request_id": "5f0c..."}
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass

from fastapi.exceptions import RequestValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from codec.errors import NacreError
from serving.errors import ServiceError, describe, status_of
from serving.request import HEADER

# Close codes (RFC 6455, and IANA's registry for the last).
CLIENTS_FAULT = 1008
OUR_FAULT = 1011
TRY_AGAIN = 1013
# How long a client may take to hear of its failure.
FAREWELL_SECONDS = 2.0

logger = logging.getLogger("nacre.serving")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What a client is told."""

    status: int
    code: str
    message: str

    @property
    def close_code(self) -> int:
        """The WebSocket's."""
        if self.status in (429, 503):
            return TRY_AGAIN
        return CLIENTS_FAULT if self.status < 500 else OUR_FAULT


async def accept(websocket: WebSocket) -> None:
    """Accept a WebSocket, telling it the name of its request, which it gets here if it has none yet."""
    await websocket.accept(headers=[(HEADER.lower().encode(), name_of(websocket).encode())])


def name_of(websocket: WebSocket) -> str:
    """Return the name of a WebSocket's request, giving it one if it has none yet."""
    state = websocket.scope.setdefault("state", {})
    return str(state.setdefault("request_id", secrets.token_hex(16)))


def failure_of(error: Exception, name: str) -> Failure:
    """Describe what ended the stream called `name`, and log it; of what isn't the client's business nothing is told.

    Whoever catches an error keeps this in its place: a traceback holds all that the stream held.
    """
    failure = _describe(error)
    if failure is None:
        logger.error("stream %s failed", name, exc_info=error)
        message = "the service failed; its log has the reason under this request_id"
        return Failure(status=500, code="internal", message=message)
    logger.info("stream %s: %s", name, failure.message)
    return failure


async def part(websocket: WebSocket, failure: Failure | None) -> None:
    """Close a WebSocket, telling the client what failed, if it is still there and takes it; accept it for that."""
    name = name_of(websocket)
    if failure is not None:
        websocket.scope["state"]["error_code"] = failure.code
    try:
        async with asyncio.timeout(FAREWELL_SECONDS):
            if websocket.application_state is WebSocketState.CONNECTING:
                await accept(websocket)
            if failure is None:
                await websocket.close()
                return
            error = {"code": failure.code, "message": failure.message}
            told = {"type": "error", "status": failure.status, "error": error, "request_id": name}
            await websocket.send_json(told)
            await websocket.close(failure.close_code, failure.code)
    except (WebSocketDisconnect, RuntimeError, TimeoutError):  # Starlette raises either of the first two
        logger.info("stream %s: the client went away", name)


def _describe(error: Exception) -> Failure | None:
    if isinstance(error, ServiceError):
        return Failure(status=error.status, code=error.code, message=str(error))
    if isinstance(error, RequestValidationError):
        return Failure(status=422, code="invalid_request", message=describe(error))
    if isinstance(error, NacreError) and (status := status_of(error)) != 500:
        return Failure(status=status, code=error.code, message=str(error))
    return None
