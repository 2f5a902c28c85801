"""Labels of bounded number: nothing that a client makes up becomes one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.routing import BaseRoute
from starlette.types import Scope

from codec.errors import NacreError

OTHER = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Routes that machines ask all day.
PROBES = frozenset({"/livez", "/readyz", "/metrics"})
# The codes that serving itself refuses with; those of codec/errors.py come on top.
SERVICE_CODES = frozenset(
    {
        "bad_form",
        "bad_key",
        "bad_message",
        "bad_request",
        "empty_body",
        "http_error",
        "invalid_request",
        "key_reused",
        "keys_damaged",
        "method_not_allowed",
        "no_key",
        "not_acceptable",
        "not_done",
        "not_found",
        "not_ready",
        "overloaded",
        "rate_limited",
        "stream_idle",
        "too_many_at_once",
        "too_many_failures",
        "unknown_job",
        "upload_timeout",
    }
)


def known_codes() -> frozenset[str]:
    """Return every code that a refusal may have."""
    return SERVICE_CODES | {error.code for error in _tree(NacreError)}


def method_of(scope: Scope) -> str:
    """Return a request's method, `WS` for a WebSocket, or "other"."""
    if scope["type"] == "websocket":
        return "WS"
    return scope["method"] if scope["method"] in METHODS else OTHER


def route_of(scope: Scope) -> str:
    """Return the template of the route, such as `/v1/jobs/{id}`, or "other"; call it when the request is over.

    A request that was refused before it was routed belongs to the route that it would have reached.
    """
    if (route := scope.get("route")) is not None:
        return str(route.path_format)
    app = scope.get("app")
    for route in _flat(app.routes) if app is not None else ():
        # The path alone decides: a wrong method is the same route.
        if route.path_regex.match(scope["path"]):
            return str(route.path_format)
    return OTHER


def _flat(routes: Iterable[BaseRoute]) -> Iterator[Any]:
    """Walk through the routes that have a path, those of included routers too."""
    for route in routes:
        if (router := getattr(route, "original_router", None)) is not None:
            yield from _flat(router.routes)
        elif hasattr(route, "path_regex"):
            yield route


def _tree(root: type[NacreError]) -> Iterator[type[NacreError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)
