"""The codec as the service runs it, batched and in as many processes, without HTTP: what a service can reach."""

import itertools
import multiprocessing
import os
import statistics
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import soundfile
import torch

from benchmarks.handlers import container, stages
from codec.weights import load_package
from serving.batcher import BatchedCodec, Batcher
from serving.engine import MAX_BATCH_SECONDS
from serving.limits import ServiceLimits
from serving.observe.metrics import Metrics
from serving.workers import number_of_workers


class ModelAlone:
    """One clip, encoded again and again in threads of worker processes: to codes, or `coded` to containers too."""

    def __init__(self, package: Path, clip: Path) -> None:
        workers, context = number_of_workers(), multiprocessing.get_context("spawn")
        self._processes = ProcessPoolExecutor(workers, context, _load, (package, clip, workers))
        self.load(1, workers)

    def load(self, seconds: float, clients: int, *, coded: bool = False) -> dict[str, Any]:
        """Return requests a second of so many threads, and the median ms of one request."""
        parts = min(clients, number_of_workers())
        futures = [self._processes.submit(_spend, seconds, clients // parts, coded) for _ in range(parts)]
        rates, times = zip(*(future.result() for future in futures), strict=True)
        return {"rps": sum(rates), "p50_ms": statistics.median(itertools.chain.from_iterable(times)) * 1000}

    def close(self) -> None:
        """End the processes."""
        self._processes.shutdown()


class _Codec:
    def __init__(self, package: Path, clip: Path, workers: int) -> None:
        slots = ServiceLimits().concurrency
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // (slots * workers)))
        self._model = load_package(package)
        rate = self._model.package.config.sample_rate
        batcher = Batcher(slots, round(MAX_BATCH_SECONDS * rate), Metrics())
        self._through = BatchedCodec(self._model.codec, batcher, threading.Event())
        self._stages = stages(self._model)
        self._audio = torch.from_numpy(soundfile.read(clip, dtype="float32")[0])[None, None]

    def spend(self, end: float, coded: bool) -> list[float]:
        spent = []
        while (start := time.perf_counter()) < end:
            codes = self._through.encode(self._audio, num_quantizers=self._stages, denoise=False)
            if coded:
                container(self._model, codes, self._audio.shape[-1])
            spent.append(time.perf_counter() - start)
        return spent


_codec: _Codec


def _load(package: Path, clip: Path, workers: int) -> None:
    global _codec  # of this process
    _codec = _Codec(package, clip, workers)


def _spend(seconds: float, clients: int, coded: bool) -> tuple[float, list[float]]:
    """Return requests a second and the seconds that each took."""
    start = time.perf_counter()
    ends = [start + seconds] * clients
    with ThreadPoolExecutor(clients) as threads:
        spent = [one for many in threads.map(_codec.spend, ends, [coded] * clients) for one in many]
    return len(spent) / (time.perf_counter() - start), spent
