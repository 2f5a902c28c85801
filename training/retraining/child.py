"""A `nacre` command as a process of its own that ends when this one does, however that ends.

Should this process be killed, the child notices (training/orphan.py), saves and ends. Till then it holds the lock that
it was started under, and who would start another waits.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from training.orphan import PARENT


@contextmanager
def only_child(lock: Path) -> Iterator[int]:
    """Wait until no child that was started under `lock` is left, and yield what `run_nacre` takes to start one."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        # The lock is of the open file, which the child shares: free when both have ended.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def run_nacre(words: Sequence[str], lock: int) -> int:
    """Run `nacre` with these words, its output on stderr; return its exit status."""
    command = [sys.executable, "-m", "nacre", *words]
    environment = os.environ | {PARENT: str(os.getpid())}
    return subprocess.run(command, stdout=sys.stderr, env=environment, pass_fds=[lock], check=False).returncode
