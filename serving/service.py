"""The BentoML service: a shell of processes around the HTTP API, and what a Bento starts.

BentoML brings the supervisor, the workers and the packaging. It would answer /livez, /readyz, /metrics, /schema.json
and / itself, in its own shapes, and fetch URLs that clients put into file fields; its middlewares cost as much as the
API, and its timeout keeps a timer for each request long after that has ended. So the API stands in front of its app and
answers everything. Torch is imported only where the model is loaded, in the workers.

The models are those that NACRE_MODEL names, with commas between, or, in a Bento, the package that lies beside the code.
"""

from __future__ import annotations

import os
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from codec.errors import UnknownModelError
from codec.home import bentoml_home

bentoml_home()

import bentoml  # noqa: E402  # it reads BENTOML_HOME when imported

from serving.access.cors import allowed_origins  # noqa: E402
from serving.access.policy import listens_on_loopback  # noqa: E402
from serving.access.store import KeyStore  # noqa: E402
from serving.app import create_app  # noqa: E402
from serving.engine import Engine  # noqa: E402
from serving.jobs.packages import PackageConverter  # noqa: E402
from serving.jobs.runner import JobRunner  # noqa: E402
from serving.jobs.store import JobStore  # noqa: E402
from serving.limits import ServiceLimits  # noqa: E402
from serving.observe.directory import use_directory  # noqa: E402
from serving.observe.logs import configure_logging  # noqa: E402
from serving.observe.tracing import start_tracing, stop_tracing  # noqa: E402
from serving.streams.keepalive import drop_ping_deadline  # noqa: E402

MODEL_VARIABLE = "NACRE_MODEL"
WORKERS_VARIABLE = "NACRE_WORKERS"
BENTO_PACKAGE = "package"


class ApiMiddleware:
    """Give every request to the API; BentoML's app behind gets only start-up and shutdown."""

    def __init__(self, app: ASGIApp, api: ASGIApp) -> None:
        self.app = app
        self.api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on; from start-up on this is the only middleware of BentoML's app."""
        if scope["type"] == "lifespan":
            scope["app"].middleware_stack = self
            await self.app(scope, receive, send)
        else:
            await self.api(scope, receive, send)


def served_references() -> list[str]:
    """Return the references of the models to serve.

    Raises:
        UnknownModelError: None is named and none lies beside the code.
    """
    beside = Path(__file__).resolve().parents[1] / BENTO_PACKAGE
    if named := os.environ.get(MODEL_VARIABLE):
        return named.split(",")
    if beside.is_dir():
        return [str(beside)]
    raise UnknownModelError(f"no model to serve: set {MODEL_VARIABLE}, or start with `nacre serve --model NAME`")


use_directory()
drop_ping_deadline()
configure_logging()
start_tracing()
limits = ServiceLimits.from_environment()
workers = int(os.environ.get(WORKERS_VARIABLE, "1"))
engine = Engine(limits, workers)
jobs = JobStore.open(limits)
converter = PackageConverter.of(engine, limits)
runner = JobRunner(jobs, converter, on_finish=engine.metrics.count_finished_job)


@bentoml.service(
    name="nacre",
    workers=workers,
    metrics={"enabled": False},  # it would label by path, without bound
)
class NacreService:
    """Encode and decode audio with a neural codec."""

    def __init__(self) -> None:
        engine.load(*served_references())
        engine.models.follow()
        runner.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]  # bentoml leaves it so
    def close(self) -> None:
        """Drop what waits, and give a job that isn't finished back."""
        runner.stop()
        engine.close()
        jobs.close()
        stop_tracing()


NacreService.add_asgi_middleware(  # type: ignore[attr-defined]  # the decorator made it a bentoml.Service
    ApiMiddleware,
    api=create_app(
        engine, limits, jobs, converter, KeyStore(), is_open=listens_on_loopback(), origins=allowed_origins()
    ),
)
