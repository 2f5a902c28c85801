"""Every metric of the service, with labels of bounded number; those of several workers are added up.

Seconds of audio by seconds of work is the real-time factor: above 1, faster than it plays.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MutexValue, ValueClass

from serving.observe.directory import PROMETHEUS_VARIABLE, forget_dead_workers
from serving.observe.labels import OTHER, known_codes

OPERATIONS = frozenset({"encode", "decode"})
JOB_STATES = frozenset({"queued", "running", "done", "failed", "cancelled"})
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_CHUNK_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 1, 5)
_FACTOR_BUCKETS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_BATCH_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)

disable_created_metrics()  # when each series began: that doubles them, for nobody


class Metrics:
    """What the service counts. Each instance counts by itself, except where workers share a folder.

    `model` is "" where a request is for none. A name that `set_models` was not told of is counted as "other", and so is
    a code, an operation or a state that there isn't.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._models: frozenset[str] = frozenset({""})
        self._make_request_metrics()
        self._make_model_metrics()
        self._make_job_metrics()
        # It is 1, so that it can be multiplied with whatever should have its labels.
        build = self._gauge("build_info", "The version that runs", ("version", "python"), "livemax")
        build.labels(metadata.version("nacre"), platform.python_version()).set(1)

    def set_models(self, names: Collection[str]) -> None:
        """Name the models that are served."""
        self._models = frozenset({"", *names})

    def observe_request(self, *, route: str, method: str, status: str, model: str, seconds: float) -> None:
        """Count a request that is over; the labels but for `model` are those of serving/observe/labels.py."""
        self._requests.labels(route, method, status, self._known(model)).observe(seconds)

    def count_bytes(self, route: str, *, received: int, sent: int) -> None:
        """Count the bytes of a request's body and of its answer's."""
        self._bytes_in.labels(route).inc(received)
        self._bytes_out.labels(route).inc(sent)

    def track_request(self) -> AbstractContextManager[None]:
        """Count a request as being in progress, inside of a `with`."""
        return self._in_progress.track_inprogress()

    def count_rejection(self, code: str) -> None:
        """Count a refusal."""
        self._rejections.labels(_bounded(code, known_codes())).inc()

    def observe_audio(self, model: str, operation: str, audio_seconds: float, seconds: float) -> None:
        """Count `audio_seconds` that were converted in `seconds` of work."""
        labels = self._known(model), _bounded(operation, OPERATIONS)
        self._audio_seconds.labels(*labels).inc(audio_seconds)
        self._work_seconds.labels(*labels).inc(seconds)
        if seconds > 0:
            self._factor.labels(*labels).observe(audio_seconds / seconds)

    def observe_batch(self, size: int) -> None:
        """Count a batch that went through a model."""
        self._batch.observe(size)

    def set_queue_depth(self, depth: int) -> None:
        """Say how many calls of this worker wait for a model."""
        self._queue.set(depth)

    def observe_chunk(self, operation: str, seconds: float) -> None:
        """Count a stream's chunk, answered `seconds` after it was there."""
        self._chunks.labels(_bounded(operation, OPERATIONS)).observe(seconds)

    def count_swap(self, model: str, taken: bool) -> None:
        """Count that a model was replaced by another version while it served, or that the other was refused."""
        (self._swaps if taken else self._refused).labels(self._known(model)).inc()

    def set_jobs(self, counts: Mapping[str, int]) -> None:
        """Say how many jobs of the service there are, by state; what whichever worker said last counts."""
        for state in JOB_STATES:
            self._jobs.labels(state).set(counts.get(state, 0))

    def count_finished_job(self, state: str) -> None:
        """Count a job that came to its end."""
        self._finished_jobs.labels(_bounded(state, JOB_STATES)).inc()

    def render(self) -> bytes:
        """Return all metrics as Prometheus reads them, of every worker; it reads files."""
        if ValueClass is MutexValue:
            return generate_latest(self._registry)
        directory = Path(os.environ[PROMETHEUS_VARIABLE])
        forget_dead_workers(directory)
        shared = CollectorRegistry()
        MultiProcessCollector(shared, str(directory))
        return generate_latest(shared)

    def _make_request_metrics(self) -> None:
        labels = ("route", "method", "status", "model")
        self._requests = self._histogram("request_seconds", "Time to answer a request", labels, _REQUEST_BUCKETS)
        self._in_progress = self._gauge("requests_in_progress", "Requests that are being answered", (), "livesum")
        self._bytes_in = self._counter("request_bytes", "Bytes of requests' bodies and messages", ("route",))
        self._bytes_out = self._counter("response_bytes", "Bytes of answers' bodies and messages", ("route",))
        self._rejections = self._counter("rejections", "Refusals", ("code",))

    def _make_model_metrics(self) -> None:
        labels = ("model", "operation")
        self._audio_seconds = self._counter("audio_seconds", "Seconds of audio converted", labels)
        self._work_seconds = self._counter("work_seconds", "Seconds of work on conversions", labels)
        self._factor = self._histogram(
            "real_time_factor", "Seconds of audio by second of work", labels, _FACTOR_BUCKETS
        )
        self._batch = self._histogram("batch_size", "Calls that went through a model together", (), _BATCH_BUCKETS)
        self._queue = self._gauge("queue_depth", "Calls that wait for a model", (), "livesum")
        text = "Time from a stream's chunk to its answer"
        self._chunks = self._histogram("stream_chunk_seconds", text, ("operation",), _CHUNK_BUCKETS)
        self._swaps = self._counter("model_swaps", "Versions of a model that replaced another", ("model",))
        self._refused = self._counter("refused_versions", "Versions of a model that were refused", ("model",))

    def _make_job_metrics(self) -> None:
        self._jobs = self._gauge("jobs", "Jobs there are", ("state",), "livemostrecent")
        self._finished_jobs = self._counter("finished_jobs", "Jobs that came to their end", ("state",))

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(f"nacre_{name}", text, labels, registry=self._registry)

    def _gauge(
        self, name: str, text: str, labels: tuple[str, ...], mode: Literal["livesum", "livemax", "livemostrecent"]
    ) -> Gauge:
        return Gauge(f"nacre_{name}", text, labels, registry=self._registry, multiprocess_mode=mode)

    def _histogram(self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"nacre_{name}", text, labels, registry=self._registry, buckets=buckets)

    def _known(self, model: str) -> str:
        return _bounded(model, self._models)


def _bounded(label: str, known: Collection[str]) -> str:
    return label if label in known else OTHER
