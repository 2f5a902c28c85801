"""GET /v1/models, /v1/limits and the probes: what is served, within which limits, and whether it is."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from serving.engine import Engine
from serving.limits import ServiceLimits
from serving.schemas import ErrorBody, Health, ModelFacts, ModelList

_UNREADY: dict[int | str, dict[str, Any]] = {503: {"model": ErrorBody}}


def fact_routes(engine: Engine, limits: ServiceLimits) -> APIRouter:
    """Return what the service says about itself."""
    routes = APIRouter()

    @routes.get("/v1/models", responses=_UNREADY)
    async def models() -> ModelList:
        """List the models that are served; the first is taken where a request names none."""
        return ModelList(models=engine.models.all())

    @routes.get("/v1/models/{name}", responses={**_UNREADY, 404: {"model": ErrorBody}})
    async def model(name: str) -> ModelFacts:
        """Describe one model."""
        return engine.models.describe(name)

    @routes.get("/v1/limits")
    async def show_limits() -> ServiceLimits:
        """List every limit of the service."""
        return limits

    @routes.get("/livez")
    async def livez() -> Health:
        """Answer as long as the process does."""
        return Health()

    @routes.get("/readyz", responses=_UNREADY)
    async def readyz() -> Health:
        """Answer 200 once the models are loaded."""
        engine.models.check_ready()
        return Health()

    return routes
