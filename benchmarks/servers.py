"""Servers in processes of their own, for benchmarks of serving."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from demo.service import free_port

ROOT = Path(__file__).parents[1]
READY_SECONDS = 120


@contextmanager
def server(words: list[str], probe: str) -> Iterator[tuple[str, psutil.Popen, float]]:
    """Run a server, PORT in its words replaced, until it answers at `probe`.

    Yield its URL, its process and how many seconds it took to be ready; kill all of it at the end.
    """
    port = free_port()
    command = [sys.executable, *(word.replace("PORT", str(port)) for word in words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BENTOML_DO_NOT_TRACK": "True"}
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = psutil.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            url = f"http://127.0.0.1:{port}"
            while not answers(url + probe):
                if process.poll() is not None or time.perf_counter() - start > READY_SECONDS:
                    log.seek(0)
                    raise SystemExit(f"{' '.join(command)} is not ready:\n{log.read().decode()}")
                time.sleep(0.05)
            yield url, process, time.perf_counter() - start
        finally:
            with suppress(psutil.NoSuchProcess):
                for member in [*process.children(recursive=True), process]:
                    member.send_signal(signal.SIGKILL)
            process.wait()


@contextmanager
def paused(*processes: psutil.Process) -> Iterator[None]:
    """Let servers take no part of the machine: an idle LitServe polls with a sixth of a core."""
    members = [member for process in processes for member in (process, *process.children(recursive=True))]
    for member in members:
        with suppress(psutil.NoSuchProcess):
            member.suspend()
    try:
        yield
    finally:
        for member in reversed(members):
            with suppress(psutil.NoSuchProcess):
                member.resume()


def answers(url: str) -> bool:
    """Tell whether a GET is answered with 200."""
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def resident_bytes(process: psutil.Process) -> int:
    """Return the memory of all processes that `process` started."""
    total = 0
    for member in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            total += member.memory_info().rss
    return total
