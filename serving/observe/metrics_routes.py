"""GET /metrics: for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response

from serving.jobs.store import JobStore
from serving.observe.metrics import CONTENT_TYPE, Metrics


def metrics_routes(metrics: Metrics, jobs: JobStore) -> APIRouter:
    """Return the route that shows `metrics`, and how many `jobs` there are."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/metrics")
    def show() -> Response:  # in a thread: it reads files
        metrics.set_jobs(jobs.counts())
        return Response(metrics.render(), media_type=CONTENT_TYPE)

    return routes
