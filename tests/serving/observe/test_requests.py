"""Requests in the metrics: each once, however it ended, and in series that clients can't multiply."""

import asyncio
import contextlib

import httpx
import pytest
from starlette.websockets import WebSocketDisconnect

from serving.observe.middleware import ObserveMiddleware


def count(value, route, method, status, model=""):
    return value("request_seconds_count", route=route, method=method, status=status, model=model)


def series(metrics):
    return {line.rpartition(" ")[0] for line in metrics.render().decode().splitlines() if not line.startswith("#")}


def test_a_request_is_counted_once(client, value):
    assert client.post("/v1/encode?bitrate_kbps=6", content=b"12345").status_code == 200
    assert count(value, "/v1/encode", "POST", "2xx", "speech") == 1
    assert value("request_bytes_total", route="/v1/encode") == 5
    assert value("response_bytes_total", route="/v1/encode") == len(b'{"bytes":5}')
    assert value("requests_in_progress") == 0


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/v1/jobs/5", "/v1/jobs/{id}", "4xx"),
        ("GET", "/v1/jobs/x", "/v1/jobs/{id}", "4xx"),
        ("DELETE", "/v1/jobs/5", "/v1/jobs/{id}", "4xx"),
        ("GET", "/v1/broken", "/v1/broken", "5xx"),
        ("GET", "/v1/refused", "/v1/refused", "5xx"),
        ("GET", "/v1/cut", "/v1/cut", "aborted"),
        ("GET", "/livez", "/livez", "2xx"),
        ("GET", "/openapi.json", "/openapi.json", "2xx"),
        ("GET", "/nowhere", "other", "4xx"),
    ],
)
def test_route_and_outcome(client, value, method, path, route, status):
    with contextlib.suppress(Exception):  # a cut answer is one for the client too
        client.request(method, path)
    assert count(value, route, method, status) == 1


def test_what_clients_make_up_adds_no_series(app, metrics):
    async def ask(count):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            for word in (f"{number * 7919:x}" for number in range(count)):
                await client.get(f"/{word}")
                if count < 10 or word.endswith("0"):
                    await client.request(f"BREW{word}", f"/{word}")
                    await client.post(f"/v1/encode?model={word}&{word}=1", headers={"X-Request-ID": word})
                    await client.get(f"/v1/jobs/{word}")

    asyncio.run(ask(3))
    before = series(metrics)
    asyncio.run(ask(1000))
    assert series(metrics) == before


@pytest.mark.parametrize(
    ("sent", "status"), [("1000", "2xx"), ("1008", "4xx"), ("1011", "5xx"), ("1013", "5xx"), (None, "aborted")]
)
def test_sockets(client, value, sent, status):
    with client.websocket_connect("/v1/stream/encode") as socket:
        socket.send_text("ää")
        assert socket.receive_text() == "ääää"
        if sent:
            socket.send_text(sent)
            with pytest.raises(WebSocketDisconnect):
                socket.receive_text()
    assert count(value, "/v1/stream/{way}", "WS", status) == 1
    assert value("request_bytes_total", route="/v1/stream/{way}") == 4 + len(sent or "")
    assert value("response_bytes_total", route="/v1/stream/{way}") == 8


def test_a_socket_that_was_never_accepted(client, value):
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/v1/stream/nowhere"):
        pass
    assert count(value, "/v1/stream/{way}", "WS", "4xx") == 1


def test_refusals_are_counted_by_code(client, value):
    client.get("/v1/refused")
    assert value("rejections_total", code="overloaded") == 1


def observe(metrics, app, messages=()):
    """Run `app` under the middleware, with the client saying `messages`."""
    waiting = [{"type": "http.request", "body": b"", "more_body": False}, *messages]

    async def receive():
        return waiting.pop(0)

    async def send(message):
        pass

    scope = {"type": "http", "method": "GET", "path": "/x", "headers": [], "query_string": b"", "client": None}
    return ObserveMiddleware(app, metrics)(scope, receive, send)


def test_a_client_that_went_away(metrics, value):
    async def app(scope, receive, send):
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    asyncio.run(observe(metrics, app, [{"type": "http.disconnect"}]))
    assert count(value, "other", "GET", "aborted") == 1


def test_a_client_that_goes_when_it_has_all(metrics, value):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        await send({"type": "http.response.body", "body": b"2"})
        while (await receive())["type"] != "http.disconnect":
            pass

    asyncio.run(observe(metrics, app, [{"type": "http.disconnect"}]))
    assert count(value, "other", "GET", "2xx") == 1
    assert value("response_bytes_total", route="other") == 2


def test_a_request_that_is_cancelled(metrics, value):
    async def main():
        async def app(scope, receive, send):
            assert value("requests_in_progress") == 1
            await asyncio.Event().wait()

        task = asyncio.create_task(observe(metrics, app))
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert count(value, "other", "GET", "aborted") == 1
    assert value("requests_in_progress") == 0


def test_other_scopes_are_none_of_ours(metrics):
    async def app(scope, receive, send):
        scope["seen"] = True

    scope = {"type": "lifespan"}
    asyncio.run(ObserveMiddleware(app, metrics)(scope, None, None))
    assert scope == {"type": "lifespan", "seen": True}
