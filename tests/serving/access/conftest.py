"""A keys' file, a small app behind the access middleware, and clients of it: near, and far away."""

import pytest
from fastapi import FastAPI, Request, WebSocket
from starlette.testclient import TestClient

from serving.access.keyring import Keyring
from serving.access.middleware import AccessMiddleware
from serving.access.owner import owner_of
from serving.access.store import KeyStore
from serving.errors import add_error_handlers
from serving.request import RequestMiddleware

FAR = "198.51.100.7"


@pytest.fixture
def store(tmp_path):
    return KeyStore(tmp_path / "home" / "keys.json")


@pytest.fixture
def make_key(store):
    """Create a key and return its text."""

    def make(name="alice", requests_per_minute=1000, concurrency=10):
        return store.create(name, requests_per_minute=requests_per_minute, concurrency=concurrency).text

    return make


def small_app():
    app = FastAPI(openapi_url=None)
    add_error_handlers(app)

    @app.get("/v1/broken")
    async def broken():
        raise RuntimeError("an accident")

    @app.get("/{path:path}")
    @app.post("/{path:path}")
    async def echo(request: Request, path: str):
        return {"path": path, "owner": owner_of(request)}

    @app.websocket("/v1/stream/{way}")
    async def stream(socket: WebSocket, way: str):
        if way == "nowhere":
            await socket.close(1008)
            return
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_json({"text": text, "owner": socket.state.owner})

    return app


@pytest.fixture
def make_client(store, clock):
    """Build a client whose requests come from `address` to `host`."""

    def make(is_open=False, address=FAR, host="nacre.example", origins=()):
        app = small_app()
        keyring = Keyring(store, clock)
        app.add_middleware(AccessMiddleware, keyring=keyring, is_open=is_open, origins=origins)
        app.add_middleware(RequestMiddleware)
        return TestClient(app, base_url=f"http://{host}", client=(address, 5000))

    return make


@pytest.fixture
def far(make_client):
    """A client of a service that other machines can reach."""
    return make_client()


@pytest.fixture
def near(make_client):
    """A client on the machine of a service that others can't reach."""
    return make_client(is_open=True, address="127.0.0.1", host="127.0.0.1:3000")
