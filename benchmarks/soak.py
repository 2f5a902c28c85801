"""A service in trouble: mixed load while models are swapped, workers killed, and clients stall or send nonsense.

Two workers serve `soak@production`. Workers are killed for two fifths of the time, after a fifth more the youngest is
warm, and from then on memory is compared. What a killed worker was answering is `broken`, and is nobody's 500.
"""

import io
import json
import random
import signal
import socket
import sys
import threading
import time
import zipfile
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import soundfile
import torch

from benchmarks.peers import default_codec
from benchmarks.servers import resident_bytes, server
from codec.weights import write_package
from registry.registry import Registry

SWAP_SECONDS = 10.0
KILL_SECONDS = 45.0
NAME = "soak"
GOOD = {"200", "429", "503"}


class Soak:
    """What happened, and how long it goes on."""

    def __init__(self, url: str, seconds: float) -> None:
        self.url = url
        self.answers: Counter[str] = Counter()
        self.faults: list[str] = []
        self.jobs: list[str] = []
        self.kills = self.swaps = 0
        self._until = time.monotonic() + seconds
        self._lock = threading.Lock()

    @property
    def goes_on(self) -> bool:
        """Whether there is time left."""
        return time.monotonic() < self._until

    def note(self, status: str, allowed: set[str], what: str) -> None:
        """Count an answer, and keep it if it should not have been."""
        with self._lock:
            self.answers[status] += 1
            if status not in allowed and len(self.faults) < 20:
                self.faults.append(f"{what}: {status}")

    def post(self, client: httpx.Client, path: str, allowed: set[str], **arguments: Any) -> httpx.Response | None:
        """Send, count, and return the answer unless the connection broke."""
        try:
            answer = client.post(self.url + path, **arguments)
        except httpx.HTTPError:
            self.note("broken", {"broken"}, path)
            return None
        self.note(str(answer.status_code), allowed, f"{path} {answer.text[:200] if answer.status_code >= 400 else ''}")
        return answer


def converse(soak: Soak, seed: int) -> None:
    """Encode and decode clips of all lengths and rates."""
    draw = dice(seed)
    with httpx.Client(timeout=60) as client:
        while soak.goes_on:
            data = clip(draw.choice((0.1, 0.5, 2, 5, 20)), draw.choice((8_000, 16_000, 44_100)), draw.random())
            container = soak.post(client, "/v1/encode", GOOD, content=data)
            if container is not None and container.status_code == 200:
                soak.post(client, "/v1/decode", GOOD, content=container.content)


def misbehave(soak: Soak, seed: int) -> None:
    """Send what can't be right."""
    draw = dice(seed)
    refused = {"400", "404", "409", "413", "415", "422", "429", "503"}
    whole = clip(1, 16_000, 0.5)
    with httpx.Client(timeout=60) as client:
        while soak.goes_on:
            path = draw.choice(("/v1/encode", "/v1/decode", "/v1/roundtrip", "/v1/encode?num_quantizers=99"))
            body = draw.choice((b"", draw.randbytes(5000), whole[: draw.randrange(60)], b"NACRE" + draw.randbytes(99)))
            soak.post(client, path, refused | {"200"}, content=body)
            time.sleep(0.05)


def stall(soak: Soak, seed: int) -> None:
    """Begin a request, and go away in the middle or at its end."""
    address = urlsplit(soak.url)
    draw = dice(seed)
    data = clip(20, 16_000, 0.5)
    head = f"POST /v1/encode HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    while soak.goes_on:
        with suppress(OSError), socket.create_connection((address.hostname or "", address.port or 0), 10) as connection:
            connection.sendall(head + data[: draw.choice((0, 1000, len(data)))])
            time.sleep(draw.choice((0.01, 0.1, 2)))


def employ(soak: Soak, seed: int) -> None:
    """Hand in archives as jobs, each under a key of its own so that it can be handed in again."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(4):
            archive.writestr(f"{number}.wav", clip(10, 16_000, number / 4))
    with httpx.Client(timeout=60) as client:
        while soak.goes_on:
            key = {"Idempotency-Key": f"{seed}-{time.monotonic()}"}
            for _ in range(5):
                path = "/v1/jobs?operation=encode"
                job = soak.post(client, path, {"200", "202", "429", "503"}, content=buffer.getvalue(), headers=key)
                if job is not None and job.status_code in (200, 202):
                    soak.jobs.append(job.json()["id"])
                    break
            time.sleep(3)


def swap(soak: Soak, seed: int) -> None:
    """Promote the other version again and again."""
    registry, version = Registry.open(), 1
    while soak.goes_on:
        time.sleep(SWAP_SECONDS)
        version = 3 - version
        registry.promote(f"{NAME}:{version}", "production")
        soak.swaps += 1


def kill(soak: Soak, process: psutil.Process, seconds: float) -> None:
    """Kill a worker now and then, for the first two fifths."""
    end = time.monotonic() + seconds * 0.4
    while time.monotonic() + KILL_SECONDS < end:
        time.sleep(KILL_SECONDS)
        workers = [member for member in process.children(recursive=True) if member.memory_info().rss > 150 * 2**20]
        if workers:
            dice(soak.kills).choice(workers).send_signal(signal.SIGKILL)
            soak.kills += 1


def dice(seed: int) -> random.Random:
    """Return what chooses, the same way each time."""
    return random.Random(seed)  # noqa: S311  # no secret hangs on it


def clip(seconds: float, rate: int, loudness: float) -> bytes:
    """Return a wav of noise."""
    samples = 0.2 * loudness * np.random.default_rng(0).standard_normal(round(seconds * rate))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV")
    return buffer.getvalue()


def soak(folder: Path, seconds: float) -> dict[str, Any]:
    """Run it for `seconds`, and return what was answered, what was lost, and how memory grew in the last two fifths."""
    registry = Registry.open()
    for version in (1, 2):
        torch.manual_seed(version)
        write_package(folder / f"soak{version}", default_codec(), metrics={}, lineage={})
        registry.register(folder / f"soak{version}", NAME)
    registry.promote(f"{NAME}:1", "production")
    words = ["-m", "nacre", "serve", "--model", f"{NAME}@production", "--workers", "2", "--port", "PORT"]
    with server(words, "/readyz") as (url, process, _):
        state = Soak(url, seconds)
        parts = [*[converse] * 6, misbehave, stall, employ, swap]
        actors = [partial(part, state, seed) for seed, part in enumerate(parts)]
        actors.append(partial(kill, state, process, seconds))
        threads = [threading.Thread(target=actor) for actor in actors]
        for thread in threads:
            thread.start()
        time.sleep(seconds * 0.6)
        before = _settled_bytes(process)
        for thread in threads:
            thread.join()
        after = _settled_bytes(process)
        lost = [job for job in state.jobs if not _finishes(url, job)]
    return {
        "answers": dict(sorted(state.answers.items())),
        "faults": state.faults,
        "jobs": len(state.jobs),
        "lost_jobs": len(lost),
        "swaps": state.swaps,
        "kills": state.kills,
        "memory_growth": after / before - 1,
    }


def _settled_bytes(process: psutil.Process) -> float:
    """Return the median memory of some seconds."""
    values = []
    for _ in range(10):
        values.append(resident_bytes(process))
        time.sleep(0.5)
    return float(np.median(values))


def _finishes(url: str, job: str) -> bool:
    """Wait until a job is at its end, and tell whether it went well."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError, json.JSONDecodeError):
            facts = httpx.get(f"{url}/v1/jobs/{job}", timeout=10).json()
            if facts["state"] not in ("queued", "running"):
                if facts["state"] != "done":
                    print(facts, file=sys.stderr)
                return bool(facts["state"] == "done")
        time.sleep(0.5)
    return False
