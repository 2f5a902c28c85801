"""A tiny real package, an engine that serves it, and audio of many kinds."""

import asyncio
import io
import struct
import threading

import httpx
import numpy as np
import pytest
import soundfile

from codec.weights import load_package, write_package
from service_app import make_app
from serving.engine import Engine
from serving.limits import ServiceLimits
from tiny import tiny_codec


class Clock:
    """Time that passes when it is told to."""

    now = 100.0

    def __call__(self):
        return self.now

    def pass_by(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def write_tiny_package(directory, name="tiny", seed=0):
    write_package(directory, tiny_codec(seed, name=name), metrics={}, lineage={})
    return directory


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    return write_tiny_package(tmp_path_factory.mktemp("package") / "tiny")


@pytest.fixture(scope="session")
def other_package(tmp_path_factory):
    return write_tiny_package(tmp_path_factory.mktemp("package") / "other", name="other", seed=1)


@pytest.fixture(scope="session")
def model(package):
    return load_package(package)


@pytest.fixture(scope="session")
def other_model(other_package):
    return load_package(other_package)


class Client:
    """Speaks to an app without a socket; one event loop in a thread of its own, so that threads can share it."""

    def __init__(self, engine, app):
        self.engine = engine
        self.app = app
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    def get(self, url, **arguments):
        return self._call(self._http.get(url, **arguments))

    def post(self, url, **arguments):
        return self._call(self._http.post(url, **arguments))

    def close(self):
        self._call(self._http.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self.engine.close()

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)


@pytest.fixture
def make_client(package, tmp_path):
    """Build a client of the API with the limits given."""
    clients = []

    def make(*references, load=True, **changes):
        limits = ServiceLimits(**changes)
        engine = Engine(limits)
        if load:
            engine.load(*references or [str(package)])
        clients.append(Client(engine, make_app(engine, limits, tmp_path / f"home{len(clients)}")))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture(scope="session")
def client(package, tmp_path_factory):
    engine = Engine(ServiceLimits())
    engine.load(str(package))
    client = Client(engine, make_app(engine, ServiceLimits(), tmp_path_factory.mktemp("service")))
    yield client
    client.close()


def noise(seconds=0.5, sample_rate=8_000, channels=1, seed=0):
    count = round(seconds * sample_rate)
    return 0.1 * np.random.default_rng(seed).standard_normal((count, channels)).astype(np.float32)


@pytest.fixture
def make_audio():
    """Return an audio file's bytes."""

    def make(seconds=0.5, sample_rate=8_000, channels=1, format="wav", subtype=None, seed=0, samples=None):
        samples = noise(seconds, sample_rate, channels, seed) if samples is None else samples
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, sample_rate, format=format, subtype=subtype)
        return buffer.getvalue()

    return make


@pytest.fixture
def wav_header():
    """Return a 16-bit wav of a few samples whose header claims what it is told to."""

    def make(channels=1, sample_rate=8_000, data_bytes=64):
        align = 2 * channels
        fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, sample_rate, sample_rate * align, align, 16)
        data = struct.pack("<4sI", b"data", data_bytes) + bytes(max(64, align))
        return struct.pack("<4sI4s", b"RIFF", 4 + len(fmt) + 8 + data_bytes, b"WAVE") + fmt + data

    return make
