import os
import signal
import subprocess
import sys
import time
from pathlib import Path

# Whatever the process of the tests does with signals (Ray, once it ran there, has its own ways) is not the child's.
CHILD = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, [])
from training.orphan import end_with_parent
end_with_parent()
print("up", flush=True)
time.sleep(300)
"""
PARENT = f"""
import os, subprocess, sys, time
from training.orphan import PARENT
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], env=os.environ | {{PARENT: str(os.getpid())}})
print(child.pid, flush=True)
time.sleep(300)
"""


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_a_child_ends_with_its_killed_parent():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert parent.stdout.readline() == "up\n"
        time.sleep(1.5)
        assert is_alive(child)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.1)
