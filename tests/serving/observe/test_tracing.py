"""Traces: a span of the request and of its parts when there is somewhere to send them, and nothing otherwise."""

import subprocess
import sys

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from serving.observe.tracing import ENDPOINT_VARIABLE, span, start_tracing, stop_tracing, tracer

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def spans():
    """Trace into memory; return what was traced, by name."""
    exporter = InMemorySpanExporter()
    start_tracing(SimpleSpanProcessor(exporter))
    yield lambda: {one.name: one for one in exporter.get_finished_spans()}
    stop_tracing()


def test_a_request_and_its_parts(client, spans):
    client.post("/v1/encode", headers={"X-Request-ID": "mine"})
    found = spans()
    assert set(found) == {"POST /v1/encode", "read", "model", "pack"}
    request = found["POST /v1/encode"]
    assert request.kind is SpanKind.SERVER
    assert request.parent is None
    assert request.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/v1/encode",
        "nacre.request_id": "mine",
        "nacre.model": "speech",
    }
    assert request.resource.attributes["service.name"] == "nacre"
    parents = {name: one.parent.span_id for name, one in found.items() if one.parent}
    assert parents == {
        "read": request.context.span_id,
        "model": request.context.span_id,
        "pack": found["model"].context.span_id,
    }


def test_traceparent_is_honoured(client, spans):
    client.post("/v1/encode", headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "a=1"})
    request = spans()["POST /v1/encode"]
    assert format(request.context.trace_id, "032x") == TRACE
    assert format(request.parent.span_id, "016x") == PARENT
    assert request.context.trace_state.get("a") == "1"


def test_what_is_not_sampled_above_is_not_here(client, spans):
    client.post("/v1/encode", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    assert spans() == {}


@pytest.mark.parametrize("header", ["", "x", f"00-{'0' * 32}-{PARENT}-01", "00-" + "é" * 32])
def test_a_bad_traceparent_begins_a_trace(client, spans, header):
    client.post("/v1/encode", headers={"traceparent": header.encode()})
    assert spans()["POST /v1/encode"].parent is None


def test_a_span_around_the_service_is_no_parent(app, client, spans):
    class Around:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            with span("bentoml"):
                await self.app(scope, receive, send)

    app.add_middleware(Around)
    client.post("/v1/encode")
    assert spans()["POST /v1/encode"].parent is None


def test_failures(client, spans):
    client.get("/v1/broken")
    client.get("/v1/jobs/1")
    client.get("/v1/refused")
    found = spans()
    assert found["GET /v1/broken"].status.status_code is StatusCode.ERROR
    assert found["GET /v1/jobs/{id}"].status.status_code is StatusCode.UNSET
    assert found["GET /v1/refused"].attributes["nacre.error_code"] == "overloaded"


def test_probes_are_not_traced_and_sockets_are(client, spans):
    client.get("/livez")
    client.get("/metrics")
    with client.websocket_connect("/v1/stream/encode") as socket:
        socket.send_text("1000")
    assert list(spans()) == ["WS /v1/stream/{way}"]


def test_off_without_an_endpoint(monkeypatch):
    monkeypatch.delenv(ENDPOINT_VARIABLE, raising=False)
    start_tracing()
    assert tracer() is None
    assert span("read") is span("model")


def test_the_endpoint_switches_it_on_and_nothing_else_loads_the_sdk():
    script = """
import sys
from serving.observe.tracing import span, start_tracing, stop_tracing, tracer
from serving.observe.trace_middleware import TraceMiddleware
start_tracing()
with span("read"):
    print(tracer(), "opentelemetry.sdk" in sys.modules)
import os
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
os.environ["OTEL_SERVICE_NAME"] = "ours"
start_tracing()
from serving.observe import tracing
print(tracing._provider.resource.attributes["service.name"], tracer() is not None)
stop_tracing()
print(tracer())
sys.modules["opentelemetry.exporter.otlp.proto.http.trace_exporter"] = None
try:
    start_tracing()
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    off, on, stopped, missing = done.stdout.splitlines()
    assert off == "None False"
    assert on == "ours True"
    assert stopped == "None"
    assert missing.startswith("MissingToolError OTEL_EXPORTER_OTLP_ENDPOINT is set, but ")
    assert "opentelemetry-exporter-otlp-proto-http" in missing
