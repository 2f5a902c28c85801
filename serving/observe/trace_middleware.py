"""The span of a request, in the trace that its `traceparent` names (W3C Trace Context).

Why not the middleware of opentelemetry-instrumentation-asgi: BentoML has it around the whole service, with spans that
go nowhere, and a second one inside takes those for its parents. Why not FastAPI's own: it sends paths and queries as
clients wrote them, and has a span for every step of FastAPI's.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.observe.labels import PROBES, method_of, route_of
from serving.observe.tracing import tracer

_CARRIED = ("traceparent", "tracestate", "baggage")


class TraceMiddleware:
    """Put a span around every request but the probes; none while tracing is off."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if tracer() is None or scope["type"] not in ("http", "websocket") or scope["path"] in PROBES:
            await self.app(scope, receive, send)
        else:
            await self._trace(scope, receive, send)

    async def _trace(self, scope: Scope, receive: Receive, send: Send) -> None:
        from opentelemetry.context import Context
        from opentelemetry.propagate import extract
        from opentelemetry.trace import SpanKind, Status, StatusCode

        making, headers, method = tracer(), Headers(scope=scope), method_of(scope)
        assert making is not None, "tracing is on"
        carried = {name: ",".join(headers.getlist(name)) for name in _CARRIED if name in headers}
        # An empty context: whatever span is around this one is BentoML's.
        above = extract(carried, context=Context())
        known = {"http.request.method": method}
        with making.start_as_current_span(method, context=above, kind=SpanKind.SERVER, attributes=known) as span:

            async def send_noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            try:
                await self.app(scope, receive, send_noting)
            finally:
                route, state = route_of(scope), scope.get("state", {})
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)
                for name in ("request_id", "model", "error_code"):
                    if state.get(name):
                        span.set_attribute(f"nacre.{name}", state[name])
