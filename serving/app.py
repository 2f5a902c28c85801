"""The HTTP API, version 1, put together; docs/api.md describes it.

Nothing here fetches a URL, and no body is held before a place was admitted and its size was bounded.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from serving.access.cors import cors_options
from serving.access.headers import SecurityHeadersMiddleware
from serving.access.keyring import Keyring
from serving.access.middleware import AccessMiddleware
from serving.access.owner import owner_of
from serving.access.store import KeyStore
from serving.convert_routes import convert_routes
from serving.engine import Engine
from serving.errors import add_error_handlers
from serving.fact_routes import fact_routes
from serving.jobs.converter import Converter
from serving.jobs.routes import job_routes
from serving.jobs.store import JobStore
from serving.limits import ServiceLimits
from serving.observe.metrics_routes import metrics_routes
from serving.observe.middleware import ObserveMiddleware
from serving.observe.trace_middleware import TraceMiddleware
from serving.page_routes import page_routes
from serving.request import RequestMiddleware
from serving.schemas import ErrorBody
from serving.streams.routes import stream_routes


def create_app(
    engine: Engine,
    limits: ServiceLimits,
    jobs: JobStore,
    converter: Converter,
    keys: KeyStore,
    *,
    is_open: bool,
    origins: tuple[str, ...] = (),
    shared: Path | None = None,
) -> FastAPI:
    """Return the API on `engine`, which may be loaded later; until then it answers 503.

    `is_open` lets programs of this machine do without a key; pages from `origins` may use the API. The workers of one
    service have the folder `shared` in common.
    """
    app = FastAPI(
        title="Nacre",
        version="1",
        summary="Encode and decode audio with a neural codec.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        responses={code: {"model": ErrorBody} for code in (401, 422, 429, 500)},
    )
    add_error_handlers(app)
    _add_middlewares(app, engine, keys, is_open, origins, shared)
    streams = stream_routes(
        limits.streams,
        model_named=lambda name: engine.models.choose(name).loaded,
        maker_of=lambda fingerprint: engine.models.maker_of(fingerprint).loaded,
        slot=engine.slot,
        observe=engine.metrics.observe_chunk,
    )
    for routes in (
        convert_routes(engine, limits),
        streams,
        job_routes(jobs, converter, owner_of),
        fact_routes(engine, limits),
        metrics_routes(engine.metrics, jobs),
        page_routes(),
    ):
        app.include_router(routes)
    return app


def _add_middlewares(
    app: FastAPI, engine: Engine, keys: KeyStore, is_open: bool, origins: tuple[str, ...], shared: Path | None
) -> None:
    """Put what every request passes around the routes; the last one is outermost."""
    app.add_middleware(AccessMiddleware, keyring=Keyring(keys), is_open=is_open, origins=origins, shared=shared)
    if origins:
        app.add_middleware(CORSMiddleware, **cors_options(origins))
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(RequestMiddleware)
    app.add_middleware(ObserveMiddleware, metrics=engine.metrics)
    app.add_middleware(TraceMiddleware)
