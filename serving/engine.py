"""The engine: one model, loaded once, and a bounded number of threads that work with it.

A result depends on its own request alone: requests share the weights, which never change, and nothing else. Torch is
imported only when a model is loaded.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from serving.errors import ServiceError
from serving.limits import ServiceLimits
from serving.schemas import DecodeParameters, EncodeParameters, ModelFacts

if TYPE_CHECKING:
    from codec.weights import LoadedPackage
    from serving.conversion import Encoded

Result = TypeVar("Result")
RETRY_SECONDS = 1


class Engine:
    """Encodes and decodes for many requests at once.

    Not ready until `load` was called. `admit` bounds the requests that hold a body in memory; of those, `concurrency`
    are worked on and the others wait their turn.
    """

    def __init__(self, limits: ServiceLimits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.concurrency, "nacre-engine")
        self._admitted = 0
        self._model: LoadedPackage | None = None
        self._facts: ModelFacts | None = None

    def load(self, reference: str) -> None:
        """Resolve, verify and load the model; blocks.

        Raises:
            UnknownModelError: There is no such model.
            PackageError: Its package is incomplete or altered.
        """
        from codec.weights import load_package
        from registry.resolve import resolve_package

        directory = resolve_package(reference)
        model = load_package(directory)
        shown = directory.name if Path(reference).is_dir() else reference
        self._facts = ModelFacts.of(model.package.config, shown, model.package.fingerprint)
        self._model = model

    def facts(self) -> ModelFacts:
        """Describe the model that is loaded.

        Raises:
            ServiceError: None is loaded yet.
        """
        if self._facts is None:
            raise _unavailable("not_ready", "the model is still loading")
        return self._facts

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place from before a body is read until its answer is ready.

        Raises:
            ServiceError: No model is loaded yet, or every place is taken.
        """
        self.facts()
        if self._admitted >= self._limits.concurrency + self._limits.queue:
            raise _unavailable("overloaded", "too many requests at once")
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    async def encode(self, data: bytes, parameters: EncodeParameters) -> Encoded:
        """Return the container of an audio file's bytes. Raises what `conversion.encode_source` raises."""
        from serving.conversion import encode_source

        model, limits, choice = self._loaded(), self._limits.audio, parameters.model_dump()
        return await self._run(lambda: encode_source(model, io.BytesIO(data), limits, **choice))

    async def decode(self, data: bytes, parameters: DecodeParameters) -> bytes:
        """Return an audio file's bytes for a container's. Raises what `codec.compress.decompress` raises."""
        from codec.audio import audio_bytes
        from codec.compress import decompress

        model, limits = self._loaded(), self._limits.audio
        return await self._run(lambda: audio_bytes(decompress(model, data, limits), parameters.format))

    def close(self) -> None:
        """Take no more work; what runs is finished, what waits is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _loaded(self) -> LoadedPackage:
        assert self._model is not None, "admit() comes first"
        return self._model

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _unavailable(code: str, message: str) -> ServiceError:
    return ServiceError(503, code, f"{message}: try again later", {"Retry-After": str(RETRY_SECONDS)})
