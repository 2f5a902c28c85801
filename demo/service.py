"""Start the HTTP service, wait until it is ready, and call it as a client would."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from demo.commands import DemoError, command

READY_SECONDS = 120.0
STOP_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A response's body, its headers, and how long it took."""

    body: bytes
    headers: httpx.Headers
    seconds: float


@contextlib.contextmanager
def running_service(models: Sequence[str], log: Path) -> Iterator[str]:
    """Serve `models` on a free port of this machine; yield its URL, and stop it at the end."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    words = [*command(), "serve", "--port", str(port), *(word for model in models for word in ("--model", model))]
    with log.open("wb") as file:
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT)
        try:
            wait_until_ready(url, process, log)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait for the readiness probe.

    Raises:
        DemoError: The service ended, or was not ready in time.
    """
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoError(f"the service ended with exit status {process.returncode}; its log is {log}")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/readyz", timeout=2).status_code == httpx.codes.OK:
                return
        time.sleep(0.2)
    raise DemoError(f"the service was not ready after {READY_SECONDS:.0f} s; its log is {log}")


def post(url: str, body: bytes, **query: str | float) -> Answer:
    """POST `body` and return the answer.

    Raises:
        DemoError: The service refused.
    """
    start = time.monotonic()
    response = httpx.post(url, content=body, params=query, timeout=120)
    if response.status_code != httpx.codes.OK:
        raise DemoError(f"{url} answered {response.status_code}: {response.text}")
    return Answer(body=response.content, headers=response.headers, seconds=time.monotonic() - start)


def free_port() -> int:
    """Return a port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
