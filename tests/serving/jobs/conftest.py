"""A store of jobs, runners over the tiny model or over a stand-in, a client, and workers in processes of their own."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from codec.audio import AudioLimits
from codec.errors import AudioError, BitrateError, ModelMismatchError, UnknownModelError
from serving.errors import add_error_handlers
from serving.jobs.limits import JobLimits
from serving.jobs.packages import PackageConverter
from serving.jobs.routes import job_routes
from serving.jobs.runner import JobRunner
from serving.jobs.store import JobStore
from serving.request import RequestMiddleware

ROOT = Path(__file__).resolve().parents[3]
WORKER = Path(__file__).with_name("worker.py")


class Copier:
    """A stand-in for a model: an output is the input with a word before it; some inputs are special."""

    def __init__(self):
        self.seen = []
        self.on_file = lambda content, progress: None

    def check(self, parameters):
        if getattr(parameters, "num_quantizers", None) == 99:
            raise BitrateError("there are not 99 stages")

    def encode(self, source, target, parameters, progress):
        content = source.read_bytes()
        self.seen.append(content)
        self.on_file(content, progress)
        if content.startswith(b"bad"):
            raise AudioError("it is bad")
        if content.startswith(b"bug"):
            raise RuntimeError("a secret of this machine")
        progress(1.0)
        target.write_bytes(b"coded " + content)

    decode = encode


@pytest.fixture
def copier():
    return Copier()


@pytest.fixture
def converter(model, other_model):
    """Return the real converter over two models, `tiny` being the default."""
    packages = {"tiny": model, "other": other_model}

    def named(name):
        if name is not None and name not in packages:
            raise UnknownModelError(f"no model '{name}'")
        return packages[name or "tiny"]

    def maker_of(fingerprint):
        for package in packages.values():
            if package.package.short_fingerprint == fingerprint:
                return package
        raise ModelMismatchError("no model that is served made it")

    return PackageConverter(named, maker_of, AudioLimits())


@pytest.fixture
def open_store():
    """Open the store of this test's home, each time anew, as another process would."""
    with contextlib.ExitStack() as stack:

        def make(**changes):
            store = JobStore.open(JobLimits(**{"job_min_free_bytes": 0, **changes}))
            stack.callback(store.close)
            return store

        yield make


class Service:
    """The API over one store; the owner of a request is its header `X-Owner`."""

    def __init__(self, store, converter):
        app = FastAPI()
        app.add_middleware(RequestMiddleware)
        add_error_handlers(app)

        def owner_of(request: Request):
            return request.headers.get("X-Owner", "")

        app.include_router(job_routes(store, converter, owner_of))
        self.store = store
        self.app = app
        self.http = TestClient(app, raise_server_exceptions=False)
        self.runner = JobRunner(store, converter)

    def submit(self, content=None, expect=202, owner="", key=None, files=None, data=None, **parameters):
        headers = {"X-Owner": owner} | ({"Idempotency-Key": key} if key is not None else {})
        given = {"operation": "encode", **parameters}
        url = {name: value for name, value in given.items() if value is not None}
        answer = self.http.post("/v1/jobs", params=url, content=content, files=files, data=data, headers=headers)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def get(self, job, owner="", path=""):
        return self.http.get(f"/v1/jobs/{job['id']}{path}", headers={"X-Owner": owner})

    def facts(self, job):
        return self.get(job).json()

    def result(self, job):
        answer = self.get(job, path="/result")
        assert answer.status_code == 200, answer.text
        return answer

    def outputs(self, job):
        """Return the files of a result that is a zip."""
        with zipfile.ZipFile(io.BytesIO(self.result(job).content)) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}

    def run(self, content, **parameters):
        """Submit, work, and return the job as it is then."""
        job = self.submit(content, **parameters)
        assert self.runner.run_one()
        return self.facts(job)


@pytest.fixture
def make_service(open_store, copier):
    """Build a service with the limits given, over the stand-in unless there is a converter."""
    with contextlib.ExitStack() as stack:

        def make(converter=None, **changes):
            service = Service(open_store(**changes), converter or copier)
            stack.enter_context(service.http)
            return service

        yield make


@pytest.fixture
def service(make_service):
    return make_service()


@pytest.fixture
def make_zip():
    def make(files, compression=zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return buffer.getvalue()

    return make


@pytest.fixture
def make_tar():
    """Pack contents, or headers for which a function may be given that changes them."""

    def make(files, mode="w", format=tarfile.PAX_FORMAT, **changes):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode, format=format) as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                if name in changes:
                    changes[name](info)
                archive.addfile(info, io.BytesIO(content))
        return buffer.getvalue()

    return make


@pytest.fixture
def start_worker(tmp_path, private_home):
    """Start a process, or several, that run jobs and log each file they begin; with a package by the real model."""
    started = []
    log = tmp_path / "log"

    def start(package="", lease_s=0.6, together=1, in_turn=1):
        words = [sys.executable, str(WORKER), *map(str, (log, package, lease_s, together, in_turn))]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        started.append(subprocess.Popen(words, env=environment, cwd=ROOT, start_new_session=True))
        return started[-1]

    start.log = log
    start.lines = lambda: log.read_text().splitlines() if log.exists() else []
    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return found


@pytest.fixture(name="wait_for")
def wait_for_fixture():
    return wait_for
