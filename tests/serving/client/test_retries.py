"""When the client asks again, and what it makes of bad answers and broken connections."""

import contextlib
import itertools
import socket
import threading
import time

import pytest

from client_stub import refusal
from serving.client import ClientError, Retry


def test_busy_services_are_asked_again(stubbed, stub):
    stub.plan(refusal(503), refusal(429, Retry_After="1"), {"json": {"models": []}})
    begin = time.monotonic()
    assert stubbed.models() == ()
    assert 1 <= time.monotonic() - begin < 5
    assert len(stub.heard) == 3


def test_dates_and_long_waits(stubbed, stub):
    stub.plan(refusal(503, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), {"json": {"models": []}})
    assert stubbed.models() == ()
    stub.plan(refusal(503, Retry_After="3600"))
    with pytest.raises(ClientError) as caught:
        stubbed.models()
    assert (caught.value.retry_after, len(stub.heard)) == (3600, 1)


@pytest.mark.parametrize("status", [400, 409, 500, 502])
def test_others_are_not(stubbed, stub, status):
    stub.plan(refusal(status, "some_word"))
    with pytest.raises(ClientError) as caught:
        stubbed.decode(b"container")
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, "some_word", "r1")
    assert len(stub.heard) == 1


def test_attempts_have_an_end(make, stub_service, stub):
    client = make(stub_service[1], retry=Retry(attempts=3, first_seconds=0.01))
    stub.plan(refusal(503))
    with pytest.raises(ClientError, match="not now"):
        client.encode(b"RIFF")
    assert len(stub.heard) == 3


def test_waits_grow():
    error = ClientError("busy", code="overloaded", status=503)
    delays = [Retry(attempts=9, longest_seconds=3).delay(attempt, error) for attempt in range(1, 10)]
    assert all(0.125 * 2**n <= delay <= 0.25 * 2**n for n, delay in enumerate(delays[:4]))
    assert all(1.5 <= delay <= 3 for delay in delays[4:8])
    assert delays[8] is None


def test_answers_of_something_else(stubbed, stub):
    stub.plan({"status": 502, "data": b"<html>", "headers": {"X-Request-ID": "p7"}})
    with pytest.raises(ClientError, match="answered 502 Bad Gateway") as caught:
        stubbed.models()
    assert (caught.value.code, caught.value.request_id) == ("http_error", "p7")
    for answer in ({"data": b"<html>"}, {"json": {"hello": 1}}, {"json": []}):
        stub.plan(answer)
        with pytest.raises(ClientError, match="as no service of this version") as caught:
            stubbed.models()
        assert caught.value.code == "broken_answer"
    with pytest.raises(ClientError) as caught:
        stubbed.encode(b"RIFF")
    assert caught.value.code == "broken_answer"


def test_slow_answers(make, stub_service, stub):
    stub.plan({"wait": 1, "json": {"models": []}})
    with pytest.raises(ClientError, match="did not answer in time") as caught:
        make(stub_service[1], timeout=0.2).models()
    assert (caught.value.code, len(stub.heard)) == ("timeout", 1)


@contextlib.contextmanager
def breaking(times):
    """Serve a service that breaks the first connections, and answers on the next."""
    listener = socket.create_server(("127.0.0.1", 0))
    counted = itertools.count(1)

    def run():
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listener.accept()
                with peer:
                    peer.recv(1 << 16)
                    if next(counted) > times:
                        peer.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{"models":[]}')

    thread = threading.Thread(target=run)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", counted
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def test_broken_connections(make):
    with breaking(2) as (url, counted):
        assert make(url).models() == ()
        assert next(counted) == 4
    with pytest.raises(ClientError, match="can't be reached") as caught:
        make(url, retry=Retry(attempts=2, first_seconds=0.01)).models()
    assert (caught.value.code, caught.value.status) == ("unreachable", None)
    with pytest.raises(ClientError, match="can't be reached"):
        list(make(url, retry=Retry(attempts=2, first_seconds=0.01)).stream_encode(b"ab"))


def test_keys_and_urls(make, stub_service, stub):
    client = make(stub_service[1] + "/", key="secret")
    stub.plan({"json": {"models": []}})
    client.models()
    stub.plan({"messages": [{"type": "done", "seconds": 1.0}]})
    assert list(client.stream_encode(b"ab", model="a b", denoise=True)) == []
    _, path, query, headers, _ = stub.heard[-1]
    assert (path, query) == ("/v1/stream/encode", {"model": "a b", "denoise": "true"})
    assert headers["Authorization"] == "Bearer secret"
    with pytest.raises(ValueError, match="must begin with http"):
        make("127.0.0.1:3000")
