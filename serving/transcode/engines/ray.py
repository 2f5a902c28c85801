"""Workers on a Ray cluster: an actor for each core or, where the cluster has GPUs, for each GPU.

Plain actors, not Ray Data: what to do, what was done and what to do again are in our own plan and manifest, and Ray
Data's checkpoints, retries and skipped blocks would be a second, coarser opinion about it. `ray_pool.py` keeps actors
at work, `ray_actor.py` is one.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import signal
import socket
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from importlib.util import find_spec
from typing import Any

from codec.errors import MissingToolError, NacreError
from serving.transcode.engines import Batch, Died
from serving.transcode.engines.ray_reach import open_reach
from serving.transcode.place import is_url
from serving.transcode.work import Job, News

# Ray's store holds little more than the model's package, and takes no less than 75 MiB; what doesn't fit goes to disk.
_STORE_BYTES = 100 << 20
_ANSWER_S = 10.0
# Before Ray is imported: no reports to its makers, and nothing of what happens to its processes on standard output.
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}


class RayEngine:
    """Workers on the cluster at `address` (`HOST:PORT`; `auto` for the one this machine is in), at most `workers`.

    Without an address, on the cluster that RAY_ADDRESS names, or else on a Ray of this machine alone that nobody else
    can reach. The first run connects, unless the program is connected to Ray already; its end disconnects.

    Raises:
        NacreError: The address is one that only Ray Client understands.
        MissingToolError: Ray is not installed.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        if find_spec("ray") is None:
            raise MissingToolError("Ray is not installed: `pip install ray`, or take --engine local")
        self._address = address or os.environ.get("RAY_ADDRESS")
        self._workers = workers
        if self._address is not None and is_url(self._address):
            raise NacreError(f"'{self._address}' is an address of Ray Client: name HOST:PORT, on a node of the cluster")

    def run(self, job: Job, batches: Iterator[Batch], *, alone: bool = False) -> Generator[News | Died]:
        """As `Engine.run`."""
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        import ray

        from serving.transcode.engines.ray_pool import RayPool

        if not ray.is_initialized():
            self._connect()
        with open_reach(job) as reach:
            most = 1 if alone else self._workers
            with closing(RayPool(job, reach, most=most, alone=alone)) as pool:
                yield from pool.run(batches)

    def _connect(self) -> None:
        if self._address in (None, "local"):
            _start(self._workers or len(os.sched_getaffinity(0)))
        else:
            _check_answer(self._address)
            _init(f"can't join the Ray cluster '{self._address}' from here", address=self._address)


def _check_answer(address: str) -> None:
    """Check that somebody is there, since Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
    except OSError as error:
        raise NacreError(f"no Ray cluster answers at '{address}' ({error.strerror or error})") from None


def _start(cores: int) -> None:
    """Start a Ray that listens on loopback alone, tells nobody of itself, and lets in only who knows its token."""
    folder = tempfile.TemporaryDirectory(prefix="nacre-ray-", ignore_cleanup_errors=True)  # for logs and sockets
    atexit.register(_end, folder)
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(16))  # else Ray makes one and keeps it in the home folder
    _init(
        "can't start Ray",
        address="local",
        num_cpus=cores,
        include_dashboard=False,
        object_store_memory=_STORE_BYTES,
        _node_ip_address="127.0.0.1",
        _temp_dir=folder.name,
    )


def _end(folder: tempfile.TemporaryDirectory[str]) -> None:
    import ray

    ray.shutdown()
    folder.cleanup()


def _init(problem: str, **options: Any) -> None:
    """Connect without a word, and leave signals as they are."""
    import ray

    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise NacreError(f"{problem}: {reason}") from None
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)
