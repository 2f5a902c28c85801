"""The engine: the models, a bounded number of requests, and the threads that convert for them.

A result depends on its own request alone: requests share the weights, which never change, and forwards that give each
item the bits it gets alone (serving/batcher.py). Torch is imported only when a model is loaded.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from serving.errors import unavailable
from serving.limits import ServiceLimits
from serving.models import ServedModel, ServedModels
from serving.observe.metrics import Metrics
from serving.schemas import DecodeParameters, EncodeParameters, RoundtripParameters

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from codec.chunked import WindowCoder
    from codec.weights import LoadedPackage
    from serving.batcher import Batcher
    from serving.conversion import Encoded

Result = TypeVar("Result")
# Calls longer than this together gain nothing more on a CPU.
MAX_BATCH_SECONDS = 20.0


@dataclass(frozen=True)
class Encoding:
    """A container, and the model that made it."""

    encoded: Encoded
    model: ServedModel


@dataclass(frozen=True)
class Decoding:
    """An audio file, and the model that decoded it."""

    data: bytes
    model: ServedModel


class Engine:
    """Encodes and decodes for many requests at once.

    Not ready until `load` was called. `admit` bounds the requests that hold a body in memory; of those, `concurrency`
    have the model at once and the others wait their turn. Setting `cancelled` ends a request's work at its next window.
    """

    def __init__(self, limits: ServiceLimits, workers: int = 1) -> None:
        self.metrics = Metrics()
        self._limits = limits
        self._workers = workers
        self._threads = ThreadPoolExecutor(limits.concurrency + limits.queue, "nacre-engine")
        self._admitted = 0
        self._models = ServedModels(())
        self._batcher: Batcher | None = None

    @property
    def models(self) -> ServedModels:
        """The models, as they are now."""
        return self._models

    def load(self, *references: str) -> None:
        """Resolve, verify, load and test the models; blocks.

        Raises:
            UnknownModelError: There is no such model.
            PackageError: A package is incomplete or altered, or fails its test.
        """
        import torch

        from serving.batcher import Batcher

        models = ServedModels(references, self._limits.device, self.metrics.count_swap)
        models.load()
        self.metrics.set_models([model.name for model in models.all()])
        cores = len(os.sched_getaffinity(0))
        torch.set_num_threads(max(1, cores // (self._limits.concurrency * self._workers)))
        rate = max(model.sample_rate for model in models.all())
        self._batcher = Batcher(self._limits.concurrency, round(MAX_BATCH_SECONDS * rate), self.metrics)
        self._models = models

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place from before a body is read until its answer is ready.

        Raises:
            ServiceError: No model is loaded yet, or every place is taken.
        """
        self._models.check_ready()
        if self._admitted >= self._limits.concurrency + self._limits.queue:
            raise unavailable("overloaded", "too many requests at once")
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    async def encode(
        self, model: ServedModel, data: bytes, parameters: EncodeParameters, cancelled: threading.Event
    ) -> Encoding:
        """Return the container of an audio file's bytes, by `model`. Raises what `conversion.encode_source` raises."""
        return await self.run(lambda: Encoding(self._encode(model, data, parameters, cancelled), model))

    async def decode(self, data: bytes, parameters: DecodeParameters, cancelled: threading.Event) -> Decoding:
        """Return an audio file's bytes for a container's. Raises what `conversion.decode_container` raises."""
        return await self.run(lambda: self._decode(data, parameters, cancelled))

    async def roundtrip(
        self, model: ServedModel, data: bytes, parameters: RoundtripParameters, cancelled: threading.Event
    ) -> tuple[Encoding, Decoding]:
        """Return the container of an audio file's bytes, and the audio file of that. Raises what both ways raise."""
        encoding = await self.encode(model, data, parameters, cancelled)
        wanted = DecodeParameters(format=parameters.format, bit_depth=parameters.bit_depth)
        return encoding, await self.decode(encoding.encoded.data, wanted, cancelled)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do a request's work in one of the engine's threads, which know its name and trace."""
        assert self._batcher is not None, "load() comes first"
        context, at_work = contextvars.copy_context(), self._batcher.at_work

        def run() -> Result:
            with at_work():
                return context.run(work)

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)

    @contextmanager
    def using(self, loaded: LoadedPackage, cancelled: threading.Event | None = None) -> Iterator[WindowCoder | None]:
        """Hold what a conversion needs: what its windows go through, each waiting for a slot, or None and a slot."""
        from codec.chunked import goes_in_windows
        from serving.batcher import BatchedCodec

        assert self._batcher is not None, "load() comes first"
        if goes_in_windows(loaded.package.config):
            yield BatchedCodec(loaded.codec, self._batcher, cancelled or threading.Event())
        else:
            with self.slot() as nothing:
                yield nothing

    def slot(self) -> AbstractContextManager[None]:
        """Hold a slot for work that doesn't go window by window through the batcher."""
        assert self._batcher is not None, "load() comes first"
        return self._batcher.alone()

    def close(self) -> None:
        """Take no more work; what runs is finished, what waits is dropped."""
        self._models.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _encode(
        self, model: ServedModel, data: bytes, parameters: EncodeParameters, cancelled: threading.Event
    ) -> Encoded:
        from serving.conversion import encode_source

        choice = parameters.model_dump(include={"bitrate_kbps", "num_quantizers", "denoise"})
        start = time.perf_counter()
        with self.using(model.loaded, cancelled) as through:
            encoded = encode_source(model.loaded, io.BytesIO(data), self._limits.audio, **choice, through=through)
        self.metrics.observe_audio(model.name, "encode", encoded.seconds, time.perf_counter() - start)
        return encoded

    def _decode(self, data: bytes, parameters: DecodeParameters, cancelled: threading.Event) -> Decoding:
        from codec.audio import audio_bytes
        from codec.container import read_header
        from serving.conversion import decode_container

        start = time.perf_counter()
        model = self._models.maker_of(read_header(data).fingerprint)
        stretch = parameters.model_dump(include={"start", "duration"})
        # A stretch doesn't go window by window.
        whole = stretch == {"start": None, "duration": None}
        with self.using(model.loaded, cancelled) if whole else self.slot() as through:
            audio = decode_container(model.loaded, data, self._limits.audio, **stretch, through=through)
        self.metrics.observe_audio(model.name, "decode", audio.seconds, time.perf_counter() - start)
        return Decoding(audio_bytes(audio, parameters.format, parameters.subtype), model)
