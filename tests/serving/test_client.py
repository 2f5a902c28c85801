"""The Python client, blocking and asynchronous alike: on the real API, and on one that misbehaves as it is told."""

import asyncio
import contextlib
import inspect
import io
import itertools
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import soundfile
import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import JSONResponse

from codec.compress import decompress
from codec.compress_blocks import compress_source
from serving.client import AsyncClient, Client, ClientError, Codes, Model, Retry
from serving.client.sound import wav_bytes

QUICK = Retry(first_seconds=0.01)
JOB = {
    "id": "j1",
    "operation": "encode",
    "state": "running",
    "progress": 0.5,
    "created": "2026-11-27T12:00:00Z",
    "finished": None,
    "files": {"total": 3, "done": 1, "failed": 1},
    "failures": [{"file": "b.wav", "code": "bad_audio", "message": "it holds no samples"}],
    "error": None,
    "expires": None,
    "later": "a field of a newer service",
}


@contextlib.contextmanager
def serving(app):
    """Serve an app on a port of its own, and yield the URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


class Blocking:
    """The asynchronous client, called as the blocking one is."""

    def __init__(self, *arguments, **options):
        self._client = AsyncClient(*arguments, **options)
        self._runner = asyncio.Runner()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._runner.run(self._client.aclose())
        self._runner.close()

    def __getattr__(self, name):
        def call(*arguments, **options):
            result = getattr(self._client, name)(*arguments, **options)
            return self._runner.run(result) if inspect.isawaitable(result) else self._drain(result)

        return call

    def _drain(self, stream):
        async def next_piece():
            return await anext(stream, None)

        run = self._runner.run

        class Drained:
            format = property(lambda self: stream.format)
            summary = property(lambda self: stream.summary)

            def __iter__(self):
                while (piece := run(next_piece())) is not None:
                    yield piece

            def close(self):
                run(stream.aclose())

        return Drained()


@pytest.fixture(params=[Client, Blocking], ids=["blocking", "asynchronous"])
def make(request):
    """Build a client of either kind."""
    with contextlib.ExitStack() as opened:
        yield lambda url, **options: opened.enter_context(request.param(url, **{"retry": QUICK, **options}))


@pytest.fixture(scope="session")
def service(client):
    """The URL of the real API."""
    with serving(client.app) as url:
        yield url


@pytest.fixture
def nacre(make, service):
    return make(service)


class Stub:
    """Answers with what is `planned`, one after the other, the last one again and again; `heard` are the requests."""

    def __init__(self):
        self.heard = []
        self.planned = [{}]
        self.app = FastAPI()
        self.app.add_api_route("/{path:path}", self._answer, methods=["GET", "POST", "DELETE"])
        self.app.add_api_websocket_route("/{path:path}", self._talk)

    def plan(self, *answers):
        self.heard.clear()
        self.planned = list(answers)

    async def _answer(self, request: Request):
        body = await request.body()
        self.heard.append((request.method, str(request.url.path), dict(request.query_params), request.headers, body))
        planned = self.planned.pop(0) if len(self.planned) > 1 else self.planned[0]
        await asyncio.sleep(planned.get("wait", 0))
        if "json" in planned:
            return JSONResponse(planned["json"], planned.get("status", 200), planned.get("headers"))
        return Response(planned.get("data", b""), planned.get("status", 200), planned.get("headers"))

    async def _talk(self, websocket: WebSocket):
        self.heard.append(("WS", websocket.url.path, dict(websocket.query_params), websocket.headers, b""))
        if "status" in self.planned[0]:
            await websocket.send_denial_response(Response("no", self.planned[0]["status"]))
            return
        await websocket.accept()
        for message in self.planned[0]["messages"]:
            await (websocket.send_bytes(message) if isinstance(message, bytes) else websocket.send_json(message))
        if self.planned[0].get("stays"):
            with contextlib.suppress(Exception):
                while True:
                    await websocket.receive()
        with contextlib.suppress(Exception):
            await websocket.close()


@pytest.fixture(scope="session")
def stub_service():
    stub = Stub()
    with serving(stub.app) as url:
        yield stub, url


@pytest.fixture
def stub(stub_service):
    stub_service[0].plan({})
    return stub_service[0]


@pytest.fixture
def stubbed(make, stub_service, stub):
    return make(stub_service[1])


def refusal(status, code="overloaded", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"error": {"code": code, "message": "not now"}, "request_id": "r1"}
    return {"status": status, "json": body, "headers": headers}


def in_wav(data):
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0].T


def test_encode_takes_bytes_paths_and_arrays(nacre, model, make_audio, tmp_path):
    wav = make_audio(seconds=1.1, channels=2, sample_rate=11_025)
    path = tmp_path / "a.wav"
    path.write_bytes(wav)
    encoded = nacre.encode(wav, num_quantizers=2)
    assert encoded.data == compress_source(model, io.BytesIO(wav), num_quantizers=2).data
    assert encoded.fingerprint == model.package.fingerprint
    assert (encoded.model, round(encoded.seconds, 6)) == ("tiny", round(12_128 / 11_025, 6))
    assert encoded.measured_kbps == pytest.approx(len(encoded.data) * 8 / encoded.seconds / 1000, abs=1e-3)
    assert nacre.encode(path, num_quantizers=2) == nacre.encode(str(path), num_quantizers=2) == encoded
    samples = in_wav(wav)
    assert nacre.encode(samples, sample_rate=11_025, num_quantizers=2) == encoded
    assert nacre.encode((samples * 32768).astype(np.int16), sample_rate=11_025, num_quantizers=2) == encoded


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(100,), (1, 100), (3, 100)])
def test_arrays_as_wav_files(dtype, shape):
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, shape)
    samples = (samples * 32767).astype(dtype) if dtype == "int16" else samples.astype(dtype)
    data = wav_bytes(samples, 44_100)
    info = soundfile.info(io.BytesIO(data))
    assert (info.samplerate, info.subtype) == (44_100, "PCM_16" if dtype == "int16" else "FLOAT")
    read, _ = soundfile.read(io.BytesIO(data), dtype="int16" if dtype == "int16" else "float32", always_2d=True)
    np.testing.assert_array_equal(read.T, np.atleast_2d(samples).astype(read.dtype))


@pytest.mark.parametrize(
    ("sound", "rate", "message"),
    [
        (np.zeros(9), None, "needs its sample_rate"),
        (b"RIFF", 8_000, "a file knows its own"),
        (np.zeros((1, 2, 9)), 8_000, "give .T. or"),
        (np.zeros((80_000, 2)), 8_000, "give .T. or"),
        (np.zeros(9, np.int32), 8_000, "int32"),
    ],
)
def test_sounds_that_are_none(nacre, sound, rate, message):
    with pytest.raises(ValueError, match=message):
        nacre.encode(sound, sample_rate=rate)


def test_decode(nacre, model, make_audio):
    container = nacre.encode(make_audio(seconds=1.0)).data
    whole = decompress(model, container).samples
    decoded = nacre.decode(container, bit_depth="float")
    np.testing.assert_allclose(in_wav(decoded.data), whole, atol=1e-5, rtol=0)
    assert (decoded.format, decoded.model, decoded.fingerprint) == ("wav", "tiny", model.package.fingerprint)
    stretch = nacre.decode(container, format="flac", bit_depth=24, start=0.25, duration=0.5)
    assert stretch.format == "flac"
    np.testing.assert_allclose(in_wav(stretch.data), whole[:, 2_000:6_000], atol=1e-5, rtol=0)


def test_round_trip(nacre, make_audio):
    wav = make_audio(seconds=0.7)
    there = nacre.encode(wav, num_quantizers=1)
    back = nacre.round_trip(wav, num_quantizers=1, format="flac")
    assert back.data == nacre.decode(there.data, format="flac").data
    assert (back.container_bytes, back.format) == (len(there.data), "flac")
    assert (back.measured_kbps, back.seconds, back.model) == (there.measured_kbps, there.seconds, there.model)


def test_codes(nacre, model, make_audio):
    wav = make_audio(seconds=0.5, channels=2, sample_rate=16_000)
    codes = nacre.codes(wav, num_quantizers=3)
    assert isinstance(codes, Codes)
    assert (codes.channels, codes.source_sample_rate, codes.num_samples) == (2, 16_000, 4_000)
    assert (codes.offsets, codes.codebook_size, codes.fingerprint) == ((0, 16, 32), 16, model.package.fingerprint)
    assert [(stream.codes.shape, stream.codes.dtype, stream.scales) for stream in codes.streams] == [
        ((3, 125), np.int64, ())
    ] * 2


def test_facts(nacre, model):
    (first,) = nacre.models()
    assert isinstance(first, Model)
    assert (first.name, first.fingerprint, first.sample_rate) == ("tiny", model.package.fingerprint, 8_000)
    assert first.bitrates_kbps == tuple(model.package.config.bitrates_kbps)
    assert nacre.model("tiny") == first
    assert nacre.limits()["max_seconds"] == 300


def test_refusals(nacre, make_audio):
    with pytest.raises(ClientError) as caught:
        nacre.encode(make_audio(), bitrate_kbps=99)
    error = caught.value
    assert (error.status, error.code, error.retry_after) == (400, "bad_bitrate", None)
    assert error.message == str(error)
    assert "no bitrate of 99" in error.message
    assert len(error.request_id) == 32
    with pytest.raises(ClientError) as caught:
        nacre.model("other")
    assert (caught.value.status, caught.value.code) == (404, "unknown_model")


def test_jobs_on_the_real_service(nacre, make_audio, tmp_path):
    (tmp_path / "a.wav").write_bytes(make_audio())
    job = nacre.submit("encode", tmp_path / "a.wav", num_quantizers=2, idempotency_key="once")
    assert (job.state, job.operation, job.is_finished) == ("queued", "encode", False)
    assert nacre.submit("encode", make_audio(), name="a.wav", num_quantizers=2, idempotency_key="once").id == job.id
    assert nacre.job(job.id) == job
    assert job in nacre.jobs()
    with pytest.raises(ClientError) as caught:
        nacre.result(job.id)
    assert caught.value.status == 409
    nacre.cancel(job.id)
    assert nacre.job(job.id).state == "cancelled"
    with pytest.raises(ClientError) as caught:
        nacre.job("other")
    assert caught.value.status == 404


def test_what_a_job_is_asked_with(stubbed, stub, tmp_path):
    (tmp_path / "music.zip").write_bytes(b"PK12")
    stub.plan(refusal(503, Retry_After="0"), {"status": 202, "json": JOB})
    job = stubbed.submit("decode", tmp_path / "music.zip", format="flac", start=0)
    assert (job.id, job.progress, job.created.isoformat()) == ("j1", 0.5, "2026-11-27T12:00:00+00:00")
    assert (job.files.failed, job.failures[0].code, job.error) == (1, "bad_audio", None)
    (method, path, query, headers, body), again = stub.heard
    assert (method, path, query) == ("POST", "/v1/jobs", {"operation": "decode", "format": "flac", "start": "0"})
    assert b'filename="music.zip"' in body
    assert b"PK12" in body
    assert len(headers["Idempotency-Key"]) >= 32
    assert again[3]["Idempotency-Key"] == headers["Idempotency-Key"]
    stubbed.submit("encode", b"RIFF")
    assert stub.heard[-1][3]["Idempotency-Key"] != headers["Idempotency-Key"]
    assert b'filename="audio"' in stub.heard[-1][4]


def test_waiting_for_a_job(stubbed, stub):
    done = {**JOB, "state": "done", "progress": 1.0, "finished": "2026-11-27T12:00:09Z"}
    stub.plan({"json": {**JOB, "progress": 0.1}}, {"json": JOB}, {"json": done})
    seen = []
    job = stubbed.wait("j1", on_progress=lambda job: seen.append(job.progress))
    assert (job.state, job.finished.second, seen) == ("done", 9, [0.1, 0.5, 1.0])
    failed = {**JOB, "state": "failed", "error": {"code": "no_room", "message": "the disk is full"}}
    stub.plan({"json": failed})
    assert stubbed.wait("j1").error.message == "the disk is full"
    stub.plan({"json": JOB})
    with pytest.raises(ClientError, match="did not end within") as caught:
        stubbed.wait("j1", timeout=0.3)
    assert (caught.value.code, caught.value.status) == ("timeout", None)


def test_results_of_jobs(stubbed, stub, tmp_path):
    stub.plan({"data": b"zip" * 100_000})
    assert stubbed.result("j 1") == b"zip" * 100_000
    assert stub.heard[-1][1] == "/v1/jobs/j 1/result"
    stub.plan(refusal(503), {"data": b"zip" * 100_000})
    stubbed.save_result("j1", tmp_path / "result.zip")
    assert (tmp_path / "result.zip").read_bytes() == b"zip" * 100_000
    stub.plan(refusal(409, "not_finished"))
    with pytest.raises(ClientError, match="not now"):
        stubbed.save_result("j1", tmp_path / "other.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["result.zip"]


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


def test_streams_there_and_back(nacre, model, make_audio):
    wav = make_audio(seconds=2.5, sample_rate=16_000, channels=2)
    pcm = wav[44:]
    source = [pcm[:10], b"", pcm[10:50_000], pcm[50_000:]]
    encoding = nacre.stream_encode(source, sample_rate=16_000, channels=2, num_quantizers=3)
    container = b"".join(encoding)
    assert container == nacre.encode(wav, num_quantizers=3).data
    assert (encoding.summary.seconds, encoding.summary.num_bytes) == (2.5, len(container))
    assert encoding.summary.measured_kbps == pytest.approx(len(container) * 8 / 2.5 / 1000)
    decoding = nacre.stream_decode(container, format="f32")
    samples = np.frombuffer(b"".join(decoding), "<f4").reshape(-1, 2).T
    np.testing.assert_allclose(samples, decompress(model, container).samples, atol=1e-5, rtol=0)
    assert (decoding.format.sample_rate, decoding.format.channels, decoding.format.format) == (16_000, 2, "f32")
    assert decoding.summary.num_samples == 40_000


def test_streams_from_files(nacre, make_audio, tmp_path):
    container = nacre.encode(make_audio()).data
    (tmp_path / "a.nac").write_bytes(container)
    assert b"".join(nacre.stream_decode(tmp_path / "a.nac")) == b"".join(nacre.stream_decode(container))


def test_streams_that_are_refused(nacre):
    with pytest.raises(ClientError, match="no samples") as caught:
        list(nacre.stream_encode([]))
    assert (caught.value.status, caught.value.code, len(caught.value.request_id)) == (400, "bad_audio", 32)
    with pytest.raises(ClientError) as caught:
        list(nacre.stream_encode(itertools.repeat(bytes(1000)), model="other"))
    assert (caught.value.status, caught.value.code) == (404, "unknown_model")


def test_sources_that_fail(nacre):
    def source():
        yield bytes(40_000)
        raise RuntimeError("the microphone was unplugged")

    with pytest.raises(RuntimeError, match="unplugged"):
        list(nacre.stream_encode(source()))


def test_streams_that_are_left_early(nacre, make_audio):
    stream = nacre.stream_encode(itertools.repeat(bytes(16_000)), block_ms=100)
    assert next(iter(stream))
    stream.close()
    assert stream.summary is None


def test_streams_of_something_else(stubbed, stub):
    for messages, word in (([b"data"], "broke off"), ([b"data", ["no"]], "no stream gives"), ([{"type": 1}], "broke")):
        stub.plan({"messages": messages})
        with pytest.raises(ClientError, match=word):
            list(stubbed.stream_decode(b"container"))
    stub.plan({"status": 401})
    with pytest.raises(ClientError, match="answered 401") as caught:
        list(stubbed.stream_decode(b"container"))
    assert (caught.value.status, caught.value.code) == (401, "http_error")


def test_streams_that_stall(make, stub_service, stub):
    stub.plan({"messages": [b"data"], "stays": True})
    stream = make(stub_service[1], timeout=0.1).stream_decode(b"container")
    with pytest.raises(ClientError, match=r"gave nothing for 0\.1 s") as caught:
        list(stream)
    assert caught.value.code == "timeout"


def test_asynchronous_sources(service, make_audio):
    wav = make_audio(seconds=1.5)

    async def microphone():
        for start in range(44, len(wav), 999):
            yield wav[start : start + 999]

    async def run():
        async with AsyncClient(service) as nacre, nacre.stream_encode(microphone()) as stream:
            encoded = await nacre.encode(wav)
            assert b"".join([piece async for piece in stream]) == encoded.data

    asyncio.run(run())


def test_the_client_needs_no_codec():
    script = "import sys, serving.client; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy = {"torch", "numpy", "soundfile", "soxr", "fastapi", "starlette", "uvicorn", "websockets", "pydantic"}
    assert not heavy & set(done.stdout.split())


def test_both_clients_have_the_same_methods():
    def methods(cls):
        found = {name: member for name, member in vars(cls).items() if inspect.isfunction(member) and name[0] != "_"}
        return {name.removeprefix("a"): list(inspect.signature(found[name]).parameters) for name in found}

    assert methods(Client) == methods(AsyncClient)
