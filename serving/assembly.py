"""What a worker process is made of, put together once: the engine, the jobs and their runner, and the API over them.

The models are those that NACRE_MODEL names, with commas between, or, in a Bento, the package that lies beside the code.
Torch is imported only when they are loaded.
"""

from __future__ import annotations

import functools
import gc
import os
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp

from codec.errors import UnknownModelError
from serving.access.cors import allowed_origins
from serving.access.policy import listens_on_loopback
from serving.access.store import KeyStore
from serving.app import create_app
from serving.balance import BalanceMiddleware, LoadBoard
from serving.engine import Engine
from serving.jobs.packages import PackageConverter
from serving.jobs.runner import JobRunner
from serving.jobs.store import JobStore
from serving.limits import ServiceLimits
from serving.memory import MemoryTrimmer
from serving.observe.directory import use_directory
from serving.observe.tracing import start_tracing, stop_tracing
from serving.streams.keepalive import drop_ping_deadline
from serving.workers import number_of_workers

MODEL_VARIABLE = "NACRE_MODEL"
BENTO_PACKAGE = "package"


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """The parts; `api` answers 503 until `start` has loaded the models. `board` is None if this is the only worker."""

    engine: Engine
    jobs: JobStore
    runner: JobRunner
    trimmer: MemoryTrimmer
    api: ASGIApp
    board: LoadBoard | None

    def start(self) -> None:
        """Load the models, follow their aliases, and take up jobs; blocks.

        Raises:
            UnknownModelError: There is no such model.
            PackageError: A package is incomplete or altered, or fails its test.
        """
        self.engine.load(*served_references())
        self.engine.models.follow()
        self.runner.start()
        self.trimmer.start()
        # What is there now stays: looking through all of it would stop every request for a fifth of a second.
        gc.collect()
        gc.freeze()
        gc.enable()

    def close(self) -> None:
        """Drop what waits, and give a job that isn't finished back."""
        self.runner.stop()
        self.trimmer.stop()
        self.engine.close()
        self.jobs.close()
        stop_tracing()


@functools.cache
def assembled() -> Assembly:
    """Return this process's parts.

    Raises:
        NacreError: A setting in the environment is wrong.
    """
    shared = use_directory()
    drop_ping_deadline()
    start_tracing()
    limits = ServiceLimits.from_environment()
    engine = Engine(limits, number_of_workers())
    jobs = JobStore.open(limits)
    converter = PackageConverter.of(engine, limits)
    is_open, origins = listens_on_loopback(), allowed_origins()
    api = create_app(engine, limits, jobs, converter, KeyStore(), is_open=is_open, origins=origins, shared=shared)
    board = None if shared is None or number_of_workers() == 1 else LoadBoard(shared)
    return Assembly(
        engine=engine,
        jobs=jobs,
        runner=JobRunner(jobs, converter, on_finish=engine.metrics.count_finished_job),
        trimmer=MemoryTrimmer(),
        api=api if board is None else BalanceMiddleware(api, board),
        board=board,
    )


def served_references() -> list[str]:
    """Return the references of the models to serve.

    Raises:
        UnknownModelError: None is named and none lies beside the code.
    """
    beside = Path(__file__).resolve().parents[1] / BENTO_PACKAGE
    if named := os.environ.get(MODEL_VARIABLE):
        return named.split(",")
    if beside.is_dir():
        return [str(beside)]
    raise UnknownModelError(f"no model to serve: set {MODEL_VARIABLE}, or start with `nacre serve --model NAME`")
