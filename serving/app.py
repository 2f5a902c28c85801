"""The HTTP API, version 1, put together; docs/api.md describes it.

Nothing here fetches a URL, and no body is held before a place was admitted and its size was bounded.
"""

from __future__ import annotations

from fastapi import FastAPI

from serving.convert_routes import convert_routes
from serving.engine import Engine
from serving.errors import add_error_handlers
from serving.fact_routes import fact_routes
from serving.limits import ServiceLimits
from serving.request import RequestMiddleware
from serving.schemas import ErrorBody


def create_app(engine: Engine, limits: ServiceLimits) -> FastAPI:
    """Return the API on `engine`, which may be loaded later; until then it answers 503."""
    app = FastAPI(
        title="Nacre",
        version="1",
        summary="Encode and decode audio with a neural codec.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        responses={code: {"model": ErrorBody} for code in (422, 500)},
    )
    app.add_middleware(RequestMiddleware)
    add_error_handlers(app)
    app.include_router(convert_routes(engine, limits))
    app.include_router(fact_routes(engine, limits))
    return app
