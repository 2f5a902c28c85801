"""Traces for OpenTelemetry: on when OTEL_EXPORTER_OTLP_ENDPOINT is set, and next to nothing when it isn't.

The SDK reads its other standard variables itself, such as OTEL_SERVICE_NAME and OTEL_TRACES_SAMPLER; spans go out as
OTLP over HTTP. Nothing of the SDK is imported while it is off.

A span's parent is the one around it in the same task, or in the same context (`asyncio.to_thread` gives it on, an
executor's thread has it where `contextvars.copy_context().run` does).
"""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.types import Scope

from codec.errors import MissingToolError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Tracer

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
SERVICE_NAME = "nacre"
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")
_OFF: AbstractContextManager[Any] = nullcontext()

_provider: TracerProvider | None = None
_tracer: Tracer | None = None


def start_tracing(processor: SpanProcessor | None = None) -> None:
    """Trace from now on: to the endpoint in the environment, if there is one, or to `processor`.

    What is waiting to be sent is sent when the process ends.

    Raises:
        MissingToolError: There is an endpoint, and OpenTelemetry's SDK or exporter is not installed.
    """
    global _provider, _tracer
    if processor is None and not os.environ.get(ENDPOINT_VARIABLE):
        return
    try:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider

        processor = processor or _exporting()
    except ImportError as error:
        message = f"{ENDPOINT_VARIABLE} is set, but {error.name} is missing: install"
        raise MissingToolError(f"{message} opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http") from None
    resource = Resource.create({"service.name": SERVICE_NAME}).merge(OTELResourceDetector().detect())
    _provider = TracerProvider(resource=resource)
    _provider.add_span_processor(processor)
    _tracer = _provider.get_tracer("nacre.serving")


def stop_tracing() -> None:
    """Send what is waiting to be sent, and trace no more."""
    global _provider, _tracer
    if _provider is not None:
        _provider.shutdown()
    _provider = _tracer = None


def tracer() -> Tracer | None:
    """Return what makes spans, or None while tracing is off."""
    return _tracer


def span(name: str) -> AbstractContextManager[Any]:
    """Return a span around a part of a request, such as `read`, `queue`, `model` or `pack`; to be used with `with`."""
    return _OFF if _tracer is None else _tracer.start_as_current_span(name)


def trace_id(scope: Scope) -> str | None:
    """Return the trace that a request belongs to: the current one, or while tracing is off what its client says."""
    if _tracer is not None:
        from opentelemetry import trace

        number = trace.get_current_span().get_span_context().trace_id
        return format(number, "032x") if number else None
    match = _TRACEPARENT.fullmatch(Headers(scope=scope).get("traceparent", ""))
    return match[1] if match else None


def _exporting() -> SpanProcessor:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return BatchSpanProcessor(OTLPSpanExporter())
