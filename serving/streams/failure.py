"""How a failure looks on a WebSocket: the shape of HTTP with a type and a status, then a close code.

{"type": "error", "status": 400, "error": {"code": "bad_audio", "message": "..."}, "request_id": "5f0c..."}
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from fastapi.exceptions import RequestValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from codec.errors import NacreError
from serving.errors import ServiceError, describe, status_of

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


async def part(websocket: WebSocket, failure: Failure | None, name: str) -> None:
    """Close the stream called `name`, telling the client what failed, if it is still there and takes it."""
    try:
        async with asyncio.timeout(FAREWELL_SECONDS):
            if failure is None:
                await websocket.close()
                return
            websocket.scope["state"]["error_code"] = failure.code
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
