"""Tiny models of every kind that streams tell apart, PCM, and the routes on a real server."""

import contextlib
import io
import threading
import time

import numpy as np
import pytest
import soundfile
import torch
import uvicorn
from fastapi import FastAPI

from codec.audio import AudioLimits
from codec.compress_blocks import compress_source
from codec.entropy import EntropyTables
from codec.errors import ModelMismatchError, UnknownModelError
from codec.model import Codec
from codec.nacre.config import NacreConfig
from codec.seanet.config import SeanetConfig
from codec.weights import load_package, write_package
from serving.streams.limits import StreamLimits
from serving.streams.pcm import PcmLayout, PcmReader
from serving.streams.routes import stream_routes
from tiny import NETWORK, segmented_codec, tiny_codec, tiny_config

LSTM = {"filters": 4, "ratios": (4, 4, 2), "lstm_layers": 1}


def lstm_codec(*, causal):
    torch.manual_seed(0)
    config = tiny_config(name="lstm", family="seanet", network=SeanetConfig(**LSTM, causal=causal))
    codec = Codec(config)
    codec.initialize_codebooks(0.1 * torch.randn(4, 1, 4000))
    return codec.eval()


BUILDERS = {
    "windowed": lambda: tiny_codec(name="windowed"),
    "causal": lambda: tiny_codec(name="causal", network=NacreConfig(**NETWORK, causal=True)),
    "lstm": lambda: lstm_codec(causal=True),
    "stereo": lambda: tiny_codec(name="stereo", channels=2),
    "segmented": lambda: segmented_codec(),
    "whole": lambda: lstm_codec(causal=False),
}


def tables(codec):
    """Under which the codes of silence are likely."""
    silence = codec.encode(torch.zeros(1, codec.config.channels, 8000))[0, :, 100]
    sizes = np.full((4, 1, 16), 100)
    sizes[range(4), 0, silence] = (1 << 14) - 1500
    return EntropyTables(
        earlier=np.zeros((4, 16, 1), np.int8),
        before=np.zeros((4, 16, 1), np.int8),
        gates=np.zeros((4, 3, 1), np.int8),
        biases=np.zeros((4, 1), np.int32),
        sizes=sizes.astype(np.uint16),
    )


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Every kind of model, by name; `fitted` is `causal` with entropy tables."""
    folder = tmp_path_factory.mktemp("models")
    built = {name: build() for name, build in BUILDERS.items()}
    for name, codec in built.items():
        write_package(folder / name, codec, metrics={}, lineage={})
    write_package(folder / "fitted", built["windowed"], metrics={}, lineage={}, tables=tables(built["windowed"]))
    return {path.name: load_package(path) for path in sorted(folder.iterdir())}


@pytest.fixture
def make_reader():
    """Return what reads PCM that comes in pieces of `sizes`, in turn."""

    def make(data, sizes=(1000,), limits=None, **layout):
        source, turn = io.BytesIO(data), iter(range(1 << 30))

        def read(count):
            return source.read(min(count, sizes[next(turn) % len(sizes)]))

        layout = {"sample_rate": 8_000, "channels": 1, "format": "s16"} | layout
        return PcmReader(read, PcmLayout(**layout), limits or AudioLimits())

    return make


@pytest.fixture(scope="session")
def make_pcm():
    """Return interleaved PCM, and the samples [num_samples, channels] of which it is."""

    def make(num_samples, channels=1, format="s16", seed=0):
        samples = 0.1 * np.random.default_rng(seed).standard_normal((num_samples, channels))
        samples = (samples * 32768).astype("<i2") if format == "s16" else samples.astype("<f4")
        return samples.tobytes(), samples

    return make


@pytest.fixture(scope="session")
def encode_whole():
    """Return the container that /v1/encode gives of a wav file with such samples."""

    def encode(model, samples, sample_rate=8_000, **choices):
        buffer = io.BytesIO()
        subtype = "PCM_16" if samples.dtype == np.dtype("<i2") else "FLOAT"
        soundfile.write(buffer, samples, sample_rate, format="wav", subtype=subtype)
        buffer.seek(0)
        return compress_source(model, buffer, **choices).data

    return encode


@pytest.fixture(scope="session")
def wait_until():
    """Wait for a condition."""
    return wait


class Server:
    """The streams' routes behind a real server; `heard` are the latencies told."""

    def __init__(self, models, limits, slot, options):
        self.heard = []
        self.slot = slot
        app = FastAPI()
        app.include_router(
            stream_routes(
                limits,
                model_named=lambda name: self._named(models, name),
                maker_of=lambda fingerprint: self._made(models, fingerprint),
                slot=lambda: self.slot,
                observe=lambda kind, seconds: self.heard.append((kind, seconds)),
            )
        )
        config = uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=2, **options)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        wait(lambda: self._server.started)
        self.url = f"ws://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def close(self):
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _named(self, models, name):
        if name not in models:
            raise UnknownModelError(f"there is no model '{name}'")
        return models[name]

    def _made(self, models, fingerprint):
        for model in models.values():
            if model.package.short_fingerprint == fingerprint:
                return model
        raise ModelMismatchError("no model here made that")


@pytest.fixture(scope="session")
def start_server(models):
    """Return a context with a server of such limits."""

    @contextlib.contextmanager
    def start(slot=None, served=None, options=None, **changes):
        limits = {"audio": AudioLimits(max_seconds=60, max_channels=2, min_sample_rate=8_000)} | changes
        server = Server(served or models, StreamLimits(**limits), slot or threading.Semaphore(2), options or {})
        try:
            yield server
        finally:
            server.close()

    return start


@pytest.fixture(scope="session")
def server(start_server):
    with start_server() as server:
        yield server


def wait(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.005)
