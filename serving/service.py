"""The BentoML service: a shell of processes around the HTTP API, and what a Bento starts.

BentoML brings the supervisor, the workers and the packaging. It would answer /livez, /readyz, /metrics, /schema.json
and / itself, in its own shapes, and fetch URLs that clients put into file fields; its middlewares cost as much as the
API, and its timeout keeps a timer for each request long after that has ended. So the API stands in front of its app and
answers everything.

The supervisor imports this module too, to start workers by it: what they are made of (serving/assembly.py) is imported
in them alone, so that the first of them starts sooner.
"""

from __future__ import annotations

import functools
import gc
import sys
from typing import TYPE_CHECKING

from codec.home import bentoml_home

bentoml_home()

import bentoml  # noqa: E402  # it reads BENTOML_HOME when imported

from serving.observe.logs import configure_logging  # noqa: E402
from serving.workers import number_of_workers  # noqa: E402

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class ApiMiddleware:
    """Give every request to the API; BentoML's app behind gets only start-up and shutdown."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    @functools.cached_property
    def api(self) -> ASGIApp:
        """Return what start-up, which comes first, put together."""
        from serving.assembly import assembled

        return assembled().api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on; from start-up on this is the only middleware of BentoML's app."""
        if scope["type"] == "lifespan":
            scope["app"].middleware_stack = self
            await self.app(scope, receive, send)
        else:
            await self.api(scope, receive, send)


configure_logging()
if "uvicorn" in sys.modules:  # in a worker, which is about to make its server; the supervisor has none
    # Until all is loaded (serving/assembly.py): what was imported would be looked through again and again.
    gc.disable()
    import uvicorn

    from serving.listening import EvenServer

    uvicorn.Server = EvenServer  # type: ignore[misc]  # BentoML leaves no choice of it


@bentoml.service(
    name="nacre",
    workers=number_of_workers(),
    metrics={"enabled": False},  # it would label by path, without bound
)
class NacreService:
    """Encode and decode audio with a neural codec."""

    def __init__(self) -> None:
        from serving.assembly import assembled

        self.parts = assembled()
        self.parts.start()

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]  # bentoml leaves it so
    def close(self) -> None:
        """Drop what waits, and give a job that isn't finished back."""
        self.parts.close()


NacreService.add_asgi_middleware(ApiMiddleware)  # type: ignore[attr-defined]  # the decorator made it a bentoml.Service
