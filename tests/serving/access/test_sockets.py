"""Who gets through, by WebSocket: the key in the header, or as the first message."""

import asyncio
import contextlib

import pytest
from starlette.websockets import WebSocketDisconnect

from serving.access import socket_key
from serving.access.middleware import AccessMiddleware

URL = "/v1/stream/encode"
NEAR_URL = f"ws://127.0.0.1:3000{URL}"


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


def key_message(text):
    return {"type": "key", "key": text}


def refusal(socket):
    """Return the code of the error that was sent, and that of the close."""
    message = socket.receive_json()
    assert set(message) == {"type", "status", "error", "request_id"}
    assert message["request_id"]
    assert message["type"] == "error"
    with pytest.raises(WebSocketDisconnect) as caught:
        socket.receive_json()
    return message["error"]["code"], caught.value.code


def test_key_in_the_header(far, make_key):
    with far.websocket_connect(URL, headers=bearer(make_key("alice"))) as socket:
        socket.send_text("hello")
        assert socket.receive_json() == {"text": "hello", "owner": "alice"}


def test_key_as_first_message_is_the_middlewares_and_the_rest_the_apps(far, make_key):
    with far.websocket_connect(URL) as socket:
        socket.send_json(key_message(make_key("alice")))
        for text in ("hello", '{"type": "key", "key": "again"}'):
            socket.send_text(text)
            assert socket.receive_json() == {"text": text, "owner": "alice"}


@pytest.mark.parametrize(
    "message", ["hello", "{", "[]", '{"type": "end"}', '{"type": "key"}', '{"type":"key","key":1}']
)
def test_another_first_message(far, make_key, message):
    make_key()
    with far.websocket_connect(URL) as socket:
        socket.send_text(message)
        assert refusal(socket) == ("no_key", 1008)


@pytest.mark.parametrize("message", [b"\x00" * 10, "[" * 1000, '"' + "x" * 5000 + '"'], ids=["bytes", "deep", "long"])
def test_a_first_message_of_another_kind(far, message):
    with far.websocket_connect(URL) as socket:
        (socket.send_text if isinstance(message, str) else socket.send_bytes)(message)
        assert refusal(socket) == ("no_key", 1008)


@pytest.mark.parametrize("text", ["wrong", "\ud800", "nacre_0"])
def test_a_bad_key(far, make_key, text):
    make_key()
    with far.websocket_connect(URL) as socket:
        socket.send_json(key_message(text))
        assert refusal(socket) == ("bad_key", 1008)


def test_a_bad_key_in_the_header(far, make_key):
    make_key()
    with far.websocket_connect(URL, headers=bearer("wrong")) as socket:
        assert refusal(socket) == ("bad_key", 1008)


def test_no_message_in_time(far, monkeypatch):
    monkeypatch.setattr(socket_key, "KEY_SECONDS", 0.05)
    with far.websocket_connect(URL) as socket:
        assert refusal(socket) == ("no_key", 1008)


def test_gone_before_the_key(far):
    with far.websocket_connect(URL):
        pass


def test_beyond_what_the_key_may(far, make_key):
    headers = bearer(make_key(concurrency=1))
    with far.websocket_connect(URL, headers=headers):
        with far.websocket_connect(URL, headers=headers) as second:
            assert refusal(second) == ("too_many_at_once", 1013)
        assert far.get("/v1/models", headers=headers).status_code == 429
    assert far.get("/v1/models", headers=headers).status_code == 200


def test_an_app_that_closes_instead_of_accepting(far, make_key):
    with far.websocket_connect("/v1/stream/nowhere") as socket:
        socket.send_json(key_message(make_key()))
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive_json()
    assert caught.value.code == 1008


def test_a_path_that_is_none(far, make_key):
    with far.websocket_connect("/nowhere") as socket:
        socket.send_json(key_message(make_key()))
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


def test_on_its_own_machine_nobody_needs_a_key(near):
    with near.websocket_connect(NEAR_URL) as socket:
        socket.send_text("hello")
        assert socket.receive_json() == {"text": "hello", "owner": ""}


def test_the_accept_names_the_request(far, make_key):
    with far.websocket_connect(URL) as socket:
        socket.send_json(key_message(make_key()))
        assert dict(socket.extra_headers)[b"x-request-id"]


def test_foreign_pages_need_a_key_on_its_own_machine_too(near, make_key):
    with near.websocket_connect(NEAR_URL, headers={"Origin": "https://evil.example"}) as socket:
        socket.send_text("hello")
        assert refusal(socket) == ("no_key", 1008)


def test_open_paths_are_not_open_to_sockets(far):
    with far.websocket_connect("/page/stream") as socket:
        socket.send_text("hello")
        assert refusal(socket) == ("no_key", 1008)


def test_those_that_wait_for_their_key_are_bounded(store, clock):
    sent = []

    async def forever():
        await asyncio.Event().wait()

    async def connect(middleware, address):
        messages = iter([{"type": "websocket.connect"}])

        async def receive():
            return next(messages, None) or await forever()

        async def send(message):
            sent.append((address, message))

        scope = {"type": "websocket", "path": URL, "headers": [], "client": (address, 1)}
        await middleware(scope, receive, send)

    async def main():
        middleware = AccessMiddleware(forever, keyring=None, is_open=False)
        tasks = [asyncio.create_task(connect(middleware, "192.0.2.1")) for _ in range(socket_key.MAX_WAITING_EACH)]
        await asyncio.sleep(0)
        await connect(middleware, "192.0.2.1")
        tasks.append(asyncio.create_task(connect(middleware, "192.0.2.2")))
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    asyncio.run(main())
    closed = [(address, message["code"]) for address, message in sent if message["type"] == "websocket.close"]
    assert closed == [("192.0.2.1", 1013)]
