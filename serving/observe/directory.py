"""The folder through which the workers of one service share their metrics: each has files there, /metrics adds them up.

What keys use (access/usage.py) and how busy each worker is (balance.py) lies there too.

prometheus_client takes it from PROMETHEUS_MULTIPROC_DIR. BentoML sets that to one folder for every service of its home,
and empties it at each start: a second service wipes out the first one's numbers. So each service that `nacre serve`
starts has a folder of its own, under the temporary folder; a Bento keeps BentoML's.

Counters of a worker that died stay in the sum, as they must: what they counted has happened. What it had at that moment
(its queue) goes with it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import psutil
from prometheus_client.multiprocess import mark_process_dead

VARIABLE = "NACRE_METRICS_DIRECTORY"
PROMETHEUS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_PREFIX = "nacre-metrics-"


def create_directory() -> Path:
    """Make this service's folder, name it in the environment, and remove those of services that are gone.

    This process has to become the workers' parent: the folder lives as long as it does.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = old.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if pid.isdecimal() and old.stat().st_uid == os.getuid() and not _is_alive(int(pid)):
                shutil.rmtree(old)
    directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    os.environ[VARIABLE] = str(directory)
    return directory


def use_directory() -> Path | None:
    """Make this process share its metrics in the service's folder, and return that; None if it shares with nobody.

    Call it before the first metric is made.
    """
    if directory := os.environ.get(VARIABLE):
        os.environ[PROMETHEUS_VARIABLE] = directory
    used = os.environ.get(PROMETHEUS_VARIABLE)
    return None if used is None else Path(used)


def forget_dead_workers(directory: Path) -> None:
    """Remove what workers that are gone had at that moment; what they counted stays."""
    for file in directory.glob("gauge_live*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdecimal() and not _is_alive(int(pid)):
            with contextlib.suppress(FileNotFoundError):  # another worker was faster
                mark_process_dead(int(pid), str(directory))


def _is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that died, and whose parent has not noticed, doesn't."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
