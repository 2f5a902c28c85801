"""The real service in operation: models swapped under load, killed workers, jobs that outlive the service."""

import contextlib
import io
import signal
import threading
import time
import zipfile
from collections import Counter

import httpx
import psutil
import pytest

from codec.weights import write_package
from registry.registry import Registry
from running_service import await_workers, starting, stop
from tiny import tiny_codec

pytestmark = pytest.mark.slow


@pytest.fixture
def start(tmp_path):
    with starting(tmp_path / "log") as start:
        yield start


@pytest.fixture
def registry(tmp_path):
    """A registry with two versions of `speech`, the first in production."""
    registry = Registry.open()
    for seed in range(2):
        write_package(tmp_path / f"seed{seed}", tiny_codec(seed), metrics={}, lineage={})
        registry.register(tmp_path / f"seed{seed}", "speech")
    registry.promote("speech:1", "production")
    return registry


class Traffic:
    """Clients that encode without a pause, and what they were answered: (status, fingerprint)."""

    def __init__(self, url, data):
        self.answers = Counter()
        self._url, self._data, self._stopped = url, data, threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self):
        with httpx.Client(timeout=60) as client:
            while not self._stopped.is_set():
                try:
                    answer = client.post(f"{self._url}/v1/encode", content=self._data)
                    self.answers[answer.status_code, answer.headers.get("X-Nacre-Fingerprint")] += 1
                except httpx.TransportError:
                    self.answers["broken", None] += 1


def workers_of(process):
    """Return the workers that live; one may be on its way out while it is looked at."""
    found = []
    for member in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # and ZombieProcess, which is one
            if "worker" in " ".join(member.cmdline()):
                found.append(member)
    return found


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_promotion_is_followed_under_load(start, registry, make_audio):
    client, process = start("nacre", "serve", "--model", "speech@production", "--workers", 2)
    first, second = (registry.show(f"speech:{version}").fingerprint for version in (1, 2))
    data = make_audio()
    old = client.post("/v1/encode", content=data).content
    with Traffic(str(client.base_url), data) as traffic:
        time.sleep(1)
        registry.promote("speech:2", "production")
        time.sleep(10)
        before = traffic.answers[200, first]
        time.sleep(1)
        assert traffic.answers[200, first] == before > 0
        registry.rollback("speech", "production")
        time.sleep(10)
        before = traffic.answers[200, second]
        time.sleep(1)
        assert traffic.answers[200, second] == before > 0
    assert set(traffic.answers) == {(200, first), (200, second)}
    assert client.post("/v1/decode", content=old).status_code == 200
    stop(process, signal.SIGTERM)


def test_a_killed_worker_is_replaced_and_the_other_goes_on(start, package, make_audio):
    client, process = start("nacre", "serve", "--model", package, "--workers", 2)
    workers = workers_of(process)
    assert len(workers) == 2
    await_workers(client, process, 2)
    with Traffic(str(client.base_url), make_audio()) as traffic:
        time.sleep(1)
        workers[0].kill()
        time.sleep(1)
        after = traffic.answers.total()
        time.sleep(1)
        assert traffic.answers.total() > after
    # What the killed one was answering is lost, at most a request of each client.
    assert sum(count for (status, _), count in traffic.answers.items() if status != 200) <= 4

    def replaced():
        now = workers_of(process)
        return len(now) == 2 and workers[0].pid not in {member.pid for member in now}

    wait_for(replaced, 60)
    stop(process, signal.SIGTERM)


def test_jobs_survive_the_death_of_the_whole_service(start, package, make_audio):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(8):
            archive.writestr(f"{number}.wav", make_audio(seconds=120, seed=number))
    client, process = start("nacre", "serve", "--model", package)
    job = client.post("/v1/jobs?operation=encode", content=buffer.getvalue()).json()["id"]
    wait_for(lambda: client.get(f"/v1/jobs/{job}").json()["files"]["done"] >= 1, 60)
    for member in [*process.children(recursive=True), process]:
        member.kill()
    psutil.wait_procs([process])
    client, process = start("nacre", "serve", "--model", package)
    facts = client.get(f"/v1/jobs/{job}").json()
    assert facts["state"] in ("queued", "running")
    wait_for(lambda: client.get(f"/v1/jobs/{job}").json()["state"] not in ("queued", "running"), 120)
    result = client.get(f"/v1/jobs/{job}/result")
    assert result.status_code == 200
    with zipfile.ZipFile(io.BytesIO(result.content)) as archive:
        assert len(archive.namelist()) == 8
        direct = client.post("/v1/encode", content=make_audio(seconds=120, seed=3)).content
        assert archive.read("3.wav.nac") == direct
    stop(process, signal.SIGTERM)
