"""Each request's name, and the answer when something breaks that nobody foresaw.

A client may name its request in `X-Request-ID`; a name that is missing, too long or of other characters is replaced.
The name is in every response, in every error body and in the log.
"""

from __future__ import annotations

import json
import logging
import re
import secrets

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Request-ID"
_VALID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

logger = logging.getLogger("nacre.serving")


def request_id(scope: Scope) -> str:
    """Return the name that RequestMiddleware gave."""
    return str(scope["state"]["request_id"])


class RequestMiddleware:
    """Name every request; turn an unforeseen exception into a 500 that tells nothing, and log it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        name = _name(scope)
        scope.setdefault("state", {})["request_id"] = name
        if scope["type"] == "websocket":  # its answers name it themselves
            await self.app(scope, receive, send)
            return
        started = False

        async def send_named(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message["headers"], (HEADER.lower().encode(), name.encode())]}
            await send(message)

        try:
            await self.app(scope, receive, send_named)
        except ClientDisconnect:
            logger.info("request %s: the client went away", name)
        except Exception:
            logger.exception("request %s failed", name)
            if started:  # the headers are out: break the connection rather than end a cut body as if it were whole
                raise
            await _send_failure(scope, send_named)


def _name(scope: Scope) -> str:
    wanted = HEADER.lower().encode()
    given = next((value for key, value in scope["headers"] if key == wanted), b"")
    return given.decode() if _VALID.fullmatch(given) else secrets.token_hex(16)


async def _send_failure(scope: Scope, send: Send) -> None:
    name = request_id(scope)
    scope["state"]["error_code"] = "internal"
    error = {"code": "internal", "message": "the service failed; its log has the reason under this request_id"}
    body = json.dumps({"error": error, "request_id": name}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
