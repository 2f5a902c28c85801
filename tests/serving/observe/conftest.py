"""A small app that is observed, and what it left in the metrics."""

import logging

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from serving.errors import ServiceError, add_error_handlers
from serving.jobs.limits import JobLimits
from serving.jobs.store import JobStore
from serving.observe.metrics import Metrics
from serving.observe.metrics_routes import metrics_routes
from serving.observe.middleware import ObserveMiddleware
from serving.observe.trace_middleware import TraceMiddleware
from serving.observe.tracing import span
from serving.request import RequestMiddleware

logger = logging.getLogger("nacre.test")


def samples(metrics):
    """Return every sample of `metrics`, by its name and labels."""
    text = metrics.render().decode() if isinstance(metrics, Metrics) else metrics
    families = text_string_to_metric_families(text)
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


@pytest.fixture
def metrics():
    metrics = Metrics()
    metrics.set_models(["speech"])
    return metrics


@pytest.fixture
def value(metrics):
    """Return the value of one sample, or None."""

    def value(name, **labels):
        return samples(metrics).get((f"nacre_{name}", *sorted(labels.items())))

    return value


@pytest.fixture
def app(metrics, tmp_path):
    app = FastAPI()
    add_error_handlers(app)
    routes = APIRouter()

    @routes.post("/v1/encode")
    async def encode(request: Request):
        request.state.model = request.query_params.get("model", "speech")
        request.state.owner = "alice"
        logger.warning("working")
        with span("read"):
            data = await request.body()
        with span("model"), span("pack"):
            return {"bytes": len(data)}

    @routes.get("/v1/jobs/{id}")
    async def job(id: int):
        raise HTTPException(404)

    @routes.get("/v1/broken")
    async def broken():
        raise RuntimeError("an accident")

    @routes.get("/v1/refused")
    async def refused(request: Request):
        request.state.error_code = "overloaded"
        raise ServiceError(503, "overloaded", "too many requests at once")

    @routes.get("/v1/cut")
    async def cut():
        async def parts():
            yield b"part"
            raise RuntimeError("an accident on the way")

        return StreamingResponse(parts())

    @routes.get("/livez")
    async def livez():
        return {}

    @app.websocket("/v1/stream/{way}")
    async def stream(socket: WebSocket, way: str):
        if way == "nowhere":
            await socket.close()
            return
        await socket.accept()
        async for text in socket.iter_text():
            if text.isdecimal():
                await socket.close(int(text))
                return
            await socket.send_text(text * 2)

    app.include_router(routes)
    app.include_router(metrics_routes(metrics, JobStore.open(JobLimits(), tmp_path / "jobs")))
    app.add_middleware(RequestMiddleware)
    app.add_middleware(ObserveMiddleware, metrics=metrics)
    app.add_middleware(TraceMiddleware)
    return app


@pytest.fixture
def client(app):
    return TestClient(app, raise_server_exceptions=False)
