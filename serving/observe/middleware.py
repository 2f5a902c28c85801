"""Each request is counted and logged once, when it is over, however it ended.

A route may say in `scope["state"]` (`request.state`) what is known only there: `model`, and `error_code` of a refusal.
"""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.observe.context import current_state
from serving.observe.exchange import Exchange
from serving.observe.labels import OTHER, PROBES, method_of, route_of
from serving.observe.metrics import Metrics
from serving.observe.tracing import trace_id

# Parameters whose values are logged; of others not even the name is.
QUERY = frozenset(
    {
        "bit_depth",
        "bitrate_kbps",
        "channels",
        "denoise",
        "duration",
        "format",
        "model",
        "num_quantizers",
        "operation",
        "sample_rate",
        "start",
    }
)
_MAX_VALUE_LENGTH = 64
_MAX_PATH_LENGTH = 256

logger = logging.getLogger("nacre.requests")


class ObserveMiddleware:
    """Count and log every request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        exchange = Exchange()
        token = current_state.set(scope.setdefault("state", {}))
        try:
            with self._metrics.track_request():
                await self.app(scope, exchange.receiving(receive), exchange.sending(send))
        finally:
            self._count(scope, exchange)
            _log(scope, exchange)
            current_state.reset(token)

    def _count(self, scope: Scope, exchange: Exchange) -> None:
        route, state = route_of(scope), scope["state"]
        self._metrics.observe_request(
            route=route,
            method=method_of(scope),
            status=exchange.outcome,
            model=state.get("model", ""),
            seconds=exchange.seconds,
        )
        self._metrics.count_bytes(route, received=exchange.received_bytes, sent=exchange.sent_bytes)
        if code := state.get("error_code"):
            self._metrics.count_rejection(code)


def _log(scope: Scope, exchange: Exchange) -> None:
    route = route_of(scope)
    facts: dict[str, Any] = {
        "method": method_of(scope),
        "route": route,
        "status": exchange.status,
        "ms": round(exchange.seconds * 1000, 1),
        "bytes_in": exchange.received_bytes,
        "bytes_out": exchange.sent_bytes,
        **_more_facts(scope, exchange, route),
    }
    failed = exchange.outcome == "5xx"
    quiet = route in PROBES and not failed
    level = logging.DEBUG if quiet else logging.WARNING if failed else logging.INFO
    logger.log(level, "%s %s %s", facts["method"], route, exchange.status, extra=facts)


def _more_facts(scope: Scope, exchange: Exchange, route: str) -> dict[str, Any]:
    """Return what not every request has. The path itself is logged only where there is no route for it."""
    state = scope["state"]
    facts = {
        "owner": state.get("owner"),
        "model": state.get("model"),
        "code": state.get("error_code"),
        "query": _query(scope),
        "path": scope["path"][:_MAX_PATH_LENGTH] if route == OTHER else None,
        "client": scope["client"][0] if exchange.status in (401, 403, 429, 1008) and scope.get("client") else None,
        "aborted": exchange.aborted,
        "trace_id": trace_id(scope),
    }
    return {name: value for name, value in facts.items() if value}


def _query(scope: Scope) -> dict[str, str]:
    try:
        given = parse_qsl(scope.get("query_string", b"").decode("ascii", "replace"), max_num_fields=len(QUERY))
    except ValueError:
        return {}
    return {name: value[:_MAX_VALUE_LENGTH] for name, value in given if name in QUERY}
