"""Memory that was freed goes back to the system: seen from outside, in a process of its own."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys

import pytest

from serving.memory import WORKER_ENVIRONMENT
from serving.server import ROOT

# Frees every second of many blocks, so that what is free lies between what isn't.
PROGRAM = """
import json, sys, time
import psutil
from serving.memory import MemoryTrimmer

blocks = [b"x" * 100_000 for _ in range(2000)]
del blocks[::2]
process = psutil.Process()
sizes = [process.memory_info().rss]
trimmer = MemoryTrimmer(every_s=0.05)
trimmer.start()
deadline = time.monotonic() + 20
while process.memory_info().rss > sizes[0] - 50 * 2**20 and time.monotonic() < deadline:
    time.sleep(0.05)
sizes.append(process.memory_info().rss)
trimmer.stop()
time.sleep(0.2)
more = [b"x" * 100_000 for _ in range(2000)]
del more[::2]
time.sleep(0.5)
sizes.append(process.memory_info().rss)
print(json.dumps(sizes))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library isn't glibc")
def test_free_memory_between_blocks_is_given_back_until_it_is_stopped() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=os.environ | WORKER_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    full, trimmed, stopped = json.loads(answer.stdout)
    assert full - trimmed > 50 * 2**20
    assert stopped - trimmed > 150 * 2**20
