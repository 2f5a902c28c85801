"""Every request has a key, or needs none: 401 otherwise, and 429 beyond what its key may use.

The key is in the header `Authorization: Bearer KEY`, or is a WebSocket's first message. The name of its holder is then
in `scope["state"]["owner"]`; without a key that is "".
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from serving.access.failures import Failures, client_address
from serving.access.key import Key
from serving.access.keyring import CHALLENGE, Keyring
from serving.access.policy import is_own
from serving.access.quota import Quotas
from serving.access.refusal import refuse, refuse_socket
from serving.access.socket_key import WaitingRoom, go_on, receive_key
from serving.errors import ServiceError
from serving.sockets import accept

OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/openapi.json"})
OPEN_PREFIX = "/page/"
METRICS_PATH = "/metrics"


class AccessMiddleware:
    """Let those through who may use the service.

    `is_open` says that the service listens on loopback addresses alone: then requests that are this machine's own need
    no key, and pages from `origins` count as its own. What keys use is counted together by workers with the same folder
    `shared`.
    """

    def __init__(
        self,
        app: ASGIApp,
        keyring: Keyring,
        *,
        is_open: bool,
        origins: Collection[str] = (),
        shared: Path | None = None,
    ) -> None:
        self.app = app
        self._keyring = keyring
        self._is_open = is_open
        self._origins = origins
        self._quotas = Quotas(shared)
        self._failures = Failures()
        self._room = WaitingRoom()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})["owner"] = ""
        text = _bearer(scope)
        if _is_public(scope) or (text is None and self._is_free(scope)):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_socket(text, scope, receive, send)
        else:
            await self._serve_http(text, scope, receive, send)

    async def _serve_http(self, text: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if text is None:
                message = "a key is needed: send the header 'Authorization: Bearer KEY'"
                raise ServiceError(401, "no_key", message, CHALLENGE)
            key = self._admit(text, scope)
        except ServiceError as error:
            await refuse(scope, receive, send, error)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            self._quotas.give_back(key)

    async def _serve_socket(self, text: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        websocket, in_header = WebSocket(scope, receive, send), text is not None
        try:
            key = self._admit(await self._ask(websocket) if text is None else text, scope)
        except WebSocketDisconnect:
            return
        except ServiceError as error:
            await refuse_socket(websocket, error)
            return
        try:
            if in_header:
                await self.app(scope, receive, send)
            else:
                await go_on(self.app, scope, receive, send)
        finally:
            self._quotas.give_back(key)

    async def _ask(self, websocket: WebSocket) -> str:
        await accept(websocket)
        with self._room.place(client_address(websocket.scope)):
            return await receive_key(websocket)

    def _admit(self, text: str, scope: Scope) -> Key:
        """Return the key that `text` is, with one request more taken of it.

        Raises:
            ServiceError: There is no such key, or it has used up what it may.
        """
        try:
            key = self._keyring.find(text)
        except ServiceError as error:
            if error.status == 401:
                self._failures.count(client_address(scope))
            raise
        scope["state"]["owner"] = key.name
        self._quotas.take(key)
        return key

    def _is_free(self, scope: Scope) -> bool:
        may_be = self._is_open or (scope["type"] == "http" and scope["path"] == METRICS_PATH)
        return may_be and is_own(scope, self._origins)


def _is_public(scope: Scope) -> bool:
    """Tell whether a request needs no key wherever it comes from: the page, the probes, the question before CORS."""
    path = scope["path"]
    return scope["type"] == "http" and (
        scope["method"] == "OPTIONS" or path in OPEN_PATHS or path.startswith(OPEN_PREFIX)
    )


def _bearer(scope: Scope) -> str | None:
    """Return what stands after `Bearer` in the header, or None if nobody presents a key there."""
    scheme, _, text = Headers(scope=scope).get("Authorization", "").strip().partition(" ")
    return text.strip() if scheme.lower() == "bearer" else None
