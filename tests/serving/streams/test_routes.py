"""Streams over real sockets: what they give and refuse, and that they hold nothing when a client is slow or gone."""

import concurrent.futures
import contextlib
import json
import logging
import socket
import threading
import time
import weakref

import numpy as np
import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State
from websockets.sync.client import connect

from codec.compress import decompress
from serving.streams import routes
from serving.streams.exchange import PIECES, Exchange
from serving.streams.keepalive import drop_ping_deadline
from serving.streams.pcm import pcm_bytes

END = json.dumps({"type": "end"})


@contextlib.contextmanager
def stream(server, kind, sock=None, **query):
    words = "&".join(f"{name}={value}" for name, value in query.items())
    with connect(f"{server.url}/v1/stream/{kind}?{words}", sock=sock, compression=None) as websocket:
        yield websocket


def receive(websocket):
    """Return all binary messages together, all texts, and the close code."""
    data, texts = [], []
    try:
        while True:
            message = websocket.recv(timeout=30)
            data.append(message) if isinstance(message, bytes) else texts.append(json.loads(message))
    except ConnectionClosed as closed:
        return b"".join(data), texts, closed.rcvd.code


def converse(server, kind, data, size=5000, **query):
    """Send data and take what comes, both at once."""
    with stream(server, kind, **query) as websocket, concurrent.futures.ThreadPoolExecutor(1) as sender:

        def send():
            with contextlib.suppress(ConnectionClosed):
                for start in range(0, len(data), size):
                    websocket.send(data[start : start + size])
                websocket.send(END)

        sending = sender.submit(send)
        result = receive(websocket)
        sending.result()
        return result


MADE = weakref.WeakSet()


class Tracked(Exchange):
    """Whatever holds a stream, in a thread or elsewhere, holds its exchange."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        MADE.add(self)


def alive():
    """Return the exchanges that anything holds; nothing waits for the collector."""
    return list(MADE)


@pytest.fixture(autouse=True)
def nothing_is_left(wait_until, monkeypatch):
    monkeypatch.setattr(routes, "Exchange", Tracked)
    yield
    wait_until(lambda: not alive())


@pytest.mark.parametrize("size", [333, 5_000, 1 << 20])
@pytest.mark.parametrize("kind", ["windowed", "causal", "segmented"])
def test_there_and_back(server, models, make_pcm, encode_whole, kind, size):
    data, samples = make_pcm(22_222, 2)
    query = {"model": kind, "num_quantizers": 3, "channels": 2, "sample_rate": 11_025}
    container, (done,), code = converse(server, "encode", data, size, **query)
    assert code == 1000
    assert container == encode_whole(models[kind], samples, 11_025, num_quantizers=3)
    assert done.pop("measured_kbps") == pytest.approx(len(container) * 8 / done["seconds"] / 1000)
    fingerprint = models[kind].package.fingerprint
    assert done == {"type": "done", "seconds": 22_222 / 11_025, "bytes": len(container), "fingerprint": fingerprint}

    whole = decompress(models[kind], container).samples
    pcm, (format, done), code = converse(server, "decode", container, size, format="f32")
    assert code == 1000
    assert format == {
        "type": "format",
        "format": "f32",
        "sample_rate": 11_025,
        "channels": 2,
        "fingerprint": fingerprint,
    }
    assert done == {"type": "done", "seconds": 22_222 / 11_025, "num_samples": 22_222}
    np.testing.assert_allclose(np.frombuffer(pcm, "<f4").reshape(-1, 2).T, whole, atol=1e-5, rtol=0)
    pcm, _, _ = converse(server, "decode", container, size)
    np.testing.assert_allclose(np.frombuffer(pcm, "<i2"), np.frombuffer(pcm_bytes(whole, "s16"), "<i2"), atol=1)


def test_rate_and_channels_are_the_models_own(server, models, make_pcm, encode_whole):
    data, samples = make_pcm(5_000, 2, format="f32")
    container, _, _ = converse(server, "encode", data, model="stereo", format="f32")
    assert container == encode_whole(models["stereo"], samples)


def test_answers_come_while_the_client_sends(server, make_pcm):
    with stream(server, "encode", model="causal", block_ms=20) as websocket:
        websocket.send(make_pcm(400)[0])
        assert websocket.recv(timeout=10).startswith(b"\x89NAC")
        for _ in range(5):
            websocket.send(make_pcm(160)[0])
            assert websocket.recv(timeout=10).startswith(b"\xa5N")
        websocket.send(END)
        assert receive(websocket)[2] == 1000


def test_many_at_once(server, models, make_pcm, encode_whole):
    def one(seed):
        kind = ("windowed", "causal")[seed % 2]
        data, samples = make_pcm(20_000, seed=seed)
        container, _, _ = converse(server, "encode", data, 700, model=kind)
        return container == encode_whole(models[kind], samples)

    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        assert all(clients.map(one, range(8)))


def test_latency_is_told(start_server, make_pcm):
    with start_server() as server:
        container, _, _ = converse(server, "encode", make_pcm(16_000)[0], model="causal")
        converse(server, "decode", container)
        assert {kind for kind, _ in server.heard} == {"encode", "decode"}
        assert all(0 <= seconds < 10 for _, seconds in server.heard)


def failure(server, kind, *messages, **query):
    with stream(server, kind, **query) as websocket:
        name = websocket.response.headers["X-Request-ID"]
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                websocket.send(message)
        _, texts, code = receive(websocket)
        error = texts[-1]
        assert error["type"] == "error"
        assert error["request_id"] == name
        return code, error["status"], error["error"]["code"], error["error"]["message"]


@pytest.mark.parametrize(
    ("query", "messages", "expected"),
    [
        ({"model": "windowed", "loudness": 3}, [], (1008, 422, "invalid_request", "loudness: extra inputs")),
        ({"model": "windowed", "format": "u8"}, [], (1008, 422, "invalid_request", "format: input should be 's16'")),
        ({"model": "windowed", "block_ms": 5}, [], (1008, 422, "invalid_request", "block_ms")),
        ({"model": "other"}, [], (1008, 404, "unknown_model", "no model 'other'")),
        ({"model": "whole"}, [], (1008, 400, "not_capable", "can't be coded in chunks")),
        ({"model": "windowed", "bitrate_kbps": 99}, [], (1008, 400, "bad_bitrate", "no bitrate of 99")),
        ({"model": "windowed", "sample_rate": 4000}, [], (1008, 413, "too_large", "4000 Hz")),
        ({"model": "windowed", "channels": 3}, [], (1008, 413, "too_large", "3 channels")),
        ({"model": "windowed"}, [END], (1008, 400, "bad_audio", "no samples")),
        ({"model": "windowed"}, [b"abc", END], (1008, 400, "bad_audio", "ends within a sample")),
        ({"model": "windowed"}, ["end"], (1008, 400, "bad_message", "send binary messages")),
        ({"model": "windowed"}, ["[]"], (1008, 400, "bad_message", "send binary messages")),
        ({"model": "windowed"}, [b"ab", '{"type": "key"}'], (1008, 400, "bad_message", "send binary messages")),
        ({"model": "windowed"}, [bytes((1 << 20) + 1)], (1008, 413, "too_large", "larger than the 1048576 bytes")),
        ({"model": "windowed"}, [bytes(50_000)] * 20, (1008, 413, "too_large", "longer than the 60 s")),
    ],
)
def test_what_encoding_refuses(server, query, messages, expected):
    code, status, word, message = failure(server, "encode", *messages, **query)
    assert (code, status, word) == expected[:3]
    assert expected[3] in message


def test_what_decoding_refuses(server, models, make_pcm, encode_whole):
    whole = encode_whole(models["windowed"], make_pcm(20_000)[1])
    assert failure(server, "decode", END)[:3] == (1008, 400, "bad_bitstream")
    assert failure(server, "decode", whole[:-9], END)[:3] == (1008, 400, "bad_bitstream")
    assert failure(server, "decode", whole[:8] + whole[9:], END)[:3] == (1008, 400, "bad_bitstream")
    assert failure(server, "decode", whole, b"more", END)[:3] == (1008, 400, "bad_bitstream")
    assert failure(server, "decode", whole, END, END)[:3] == (1008, 400, "bad_message")
    other = encode_whole(models["windowed"], make_pcm(20_000)[1], 48_000)
    changed = other.replace(models["windowed"].package.short_fingerprint, bytes(8))
    assert failure(server, "decode", changed, END)[:3] == (1008, 400, "bad_bitstream")  # its checksum
    assert failure(server, "decode", whole, END, model="windowed")[:3] == (1008, 422, "invalid_request")


def test_the_model_of_another_service(start_server, models, make_pcm, encode_whole):
    whole = encode_whole(models["windowed"], make_pcm(2_000)[1])
    with start_server(served={"causal": models["causal"]}) as server:
        assert failure(server, "decode", whole, END)[:3] == (1008, 409, "model_mismatch")


def test_audio_before_the_damage_is_sent(server, models, make_pcm, encode_whole):
    whole = bytearray(encode_whole(models["causal"], make_pcm(40_000)[1]))
    whole[-100] ^= 1
    pcm, (_, error), code = converse(server, "decode", bytes(whole))
    assert (code, error["error"]["code"]) == (1008, "bad_bitstream")
    assert 4 * 16_000 - 200 <= len(pcm) <= 4 * 16_000


def test_our_faults_are_logged_and_not_told(start_server, caplog):
    with start_server(served={"broken": None}) as server, caplog.at_level(logging.ERROR, "nacre.serving"):
        code, status, word, message = failure(server, "encode", model="broken")
    assert (code, status, word) == (1011, 500, "internal")
    assert "NoneType" not in message
    assert "NoneType" in caplog.text
    caplog.clear()


def test_places_are_given_back(start_server, make_pcm):
    slot = threading.BoundedSemaphore(2)
    with start_server(slot=slot) as server:
        assert converse(server, "encode", make_pcm(3_000)[0], model="causal")[2] == 1000
        assert converse(server, "encode", b"abc", model="causal")[2] == 1008
        assert converse(server, "decode", b"abc")[2] == 1008
        assert all(slot.acquire(timeout=5) for _ in range(2))


def test_a_key_before_the_audio_is_left_to_others(server, models, make_pcm, encode_whole):
    data, samples = make_pcm(3_000)
    with stream(server, "encode", model="windowed") as websocket:
        websocket.send(json.dumps({"type": "key", "key": "none"}))
        websocket.send(data)
        websocket.send(END)
        assert receive(websocket)[0] == encode_whole(models["windowed"], samples)


def test_no_more_streams_than_allowed(start_server, make_pcm, wait_until):
    with start_server(max_streams=2) as server, contextlib.ExitStack() as opened:
        first, second = (opened.enter_context(stream(server, "encode", model="causal")) for _ in range(2))
        wait_until(lambda: len(alive()) == 2)
        code, status, word, _ = failure(server, "decode")
        assert (code, status, word) == (1013, 503, "overloaded")
        second.close()
        wait_until(lambda: len(alive()) == 1)
        assert converse(server, "encode", make_pcm(3_000)[0], model="causal")[2] == 1000
        first.send(make_pcm(3_000)[0])
        first.send(END)
        assert receive(first)[2] == 1000


@pytest.mark.parametrize("kind", ["encode", "decode"])
def test_a_client_that_sends_nothing_is_let_go(start_server, kind):
    with start_server(idle_seconds=0.3) as server:
        begin = time.monotonic()
        query = {"model": "causal"} if kind == "encode" else {}
        assert failure(server, kind, b"ab", **query)[:3] == (1008, 408, "stream_idle")
        assert 0.3 <= time.monotonic() - begin < 5


def test_a_client_that_pauses_is_not(start_server, make_pcm):
    with start_server(idle_seconds=0.5) as server, stream(server, "encode", model="causal") as websocket:
        for _ in range(4):
            time.sleep(0.25)
            websocket.send(make_pcm(100)[0])
        websocket.send(END)
        assert receive(websocket)[2] == 1000


def small_socket(server):
    """Return a connected socket that holds little."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    made.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
    return made


@pytest.fixture(scope="module")
def long_container(models, make_pcm, encode_whole):
    """50 s, which decode to 19 MB."""
    return encode_whole(models["causal"], make_pcm(50 * 48_000, 2)[1], 48_000, num_quantizers=1)


def test_a_client_that_takes_nothing_holds_it_back_and_is_let_go(start_server, long_container, wait_until):
    with start_server(idle_seconds=1) as server:
        headers = ("Host: x", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
        lines = ("GET /v1/stream/decode?format=f32 HTTP/1.1", *headers, f"Sec-WebSocket-Key: {'A' * 22}==", "", "")
        with small_socket(server) as peer:
            peer.sendall("\r\n".join(lines).encode())
            assert peer.recv(12) == b"HTTP/1.1 101"
            peer.sendall(frame(long_container))
            wait_until(lambda: len(server.heard) > 2)
            time.sleep(0.4)
            heard = len(server.heard)
            assert heard < 40  # of 50, a second each, which is 384 kB
            time.sleep(0.2)
            assert len(server.heard) == heard
            wait_until(lambda: not alive())


def frame(data):
    """Return a masked binary frame, its mask zero."""
    return b"\x82\xfe" + len(data).to_bytes(2, "big") + bytes(4) + data


def test_a_slow_client_gets_everything(start_server, models, long_container):
    with start_server(idle_seconds=20) as server, stream(server, "decode", sock=small_socket(server)) as websocket:
        for start in range(0, len(long_container), 4_000):
            websocket.send(long_container[start : start + 4_000])
        websocket.send(END)
        time.sleep(0.5)
        pcm, _, code = receive(websocket)
    assert code == 1000
    assert len(pcm) == 50 * 48_000 * 4


def test_a_fast_client_is_held_back(start_server, models, make_pcm, encode_whole):
    slot = threading.Lock()
    data, samples = make_pcm(50 * 48_000, 2)
    sent = 0

    def send(websocket):
        nonlocal sent
        for start in range(0, len(data), 10_000):
            websocket.send(data[start : start + 10_000])
            sent += 10_000
        websocket.send(END)

    with start_server(slot=slot, idle_seconds=0.3) as server, concurrent.futures.ThreadPoolExecutor(1) as sender:
        query = {"model": "causal", "channels": 2, "sample_rate": 48_000}
        with stream(server, "encode", sock=small_socket(server), **query) as websocket:
            websocket.send(bytes(4))
            with slot:
                sending = sender.submit(send, websocket)
                time.sleep(0.8)  # longer than a client may be idle: it isn't, we are
                held = sent
                assert held < len(data) / 2
                assert sum(stream._incoming.qsize() for stream in alive()) <= PIECES
                time.sleep(0.2)
                assert sent == held
            container, _, code = receive(websocket)
            sending.result()
    assert code == 1000
    samples = np.concatenate([np.zeros((1, 2), samples.dtype), samples])
    assert container == encode_whole(models["causal"], samples, 48_000)


def test_pings_do_not_end_a_client_that_is_held_back(start_server, make_pcm, monkeypatch):
    monkeypatch.setattr(uvicorn.Config, "__init__", uvicorn.Config.__init__)
    drop_ping_deadline()
    slot = threading.Lock()
    with start_server(slot=slot, options={"ws_ping_interval": 0.1}) as server:
        assert uvicorn.Config("app").ws_ping_timeout is None
        with stream(server, "encode", model="causal") as websocket, slot:
            for _ in range(30):
                websocket.send(make_pcm(32_000)[0])
            time.sleep(0.5)
            assert websocket.state is State.OPEN


@pytest.mark.parametrize("kind", ["encode", "decode"])
def test_a_client_that_vanishes_frees_everything(start_server, long_container, make_pcm, kind, wait_until):
    data = make_pcm(40_000)[0] if kind == "encode" else long_container
    query = {"model": "causal"} if kind == "encode" else {"format": "f32"}
    with start_server() as server, contextlib.suppress(ConnectionClosed, OSError):
        peer = small_socket(server)
        with stream(server, kind, sock=peer, **query) as websocket:
            websocket.send(data[:20_000])
            wait_until(lambda: server.heard)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
            peer.shutdown(socket.SHUT_RDWR)
            wait_until(lambda: not alive())


def test_it_vanishes_while_others_compute(start_server, make_pcm, wait_until):
    slot = threading.Lock()
    with start_server(slot=slot) as server, stream(server, "encode", model="causal") as websocket:
        websocket.send(make_pcm(2_000)[0])
        wait_until(lambda: alive())
        with slot:
            websocket.send(make_pcm(2_000)[0])
            time.sleep(0.2)
            websocket.close()
        wait_until(lambda: not alive())


def test_the_service_ends_with_streams_open(start_server, make_pcm):
    with contextlib.ExitStack() as later:
        with start_server() as server:
            websocket = later.enter_context(stream(server, "encode", model="causal"))
            websocket.send(make_pcm(2_000)[0])
            begin = time.monotonic()
        assert time.monotonic() - begin < 5
        assert receive(websocket)[2] == 1012
