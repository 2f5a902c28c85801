"""A worker process for tests: runs the jobs of NACRE_HOME, and logs the beginning of each file.

Arguments: the log; a package, or "" for a stand-in without a model; the lease in seconds; how many processes there are
together, if not this one alone, and how often in turn. It returns how many of them were killed.

A file called `hang` never ends, one called `poison` kills its process; the log tells a file by its content's checksum.
"""

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

from serving.jobs.limits import JobLimits
from serving.jobs.runner import JobRunner
from serving.jobs.store import JobStore


class Logged:
    """Logs each file before `inner`, if there is one, converts it."""

    def __init__(self, log, inner):
        self.log = log
        self.inner = inner

    def encode(self, source, target, parameters, progress):
        content = source.read_bytes()
        line = content.decode() if len(content) < 32 else hashlib.sha256(content).hexdigest()
        with self.log.open("a") as file:
            file.write(line + "\n")
        if content == b"poison":
            os.kill(os.getpid(), signal.SIGKILL)
        if content == b"hang":
            time.sleep(300)
        if self.inner is None:
            progress(0.5)
            target.write_bytes(b"coded " + content)
            return
        self.inner.encode(source, target, parameters, progress)


def real(package):
    from codec.audio import AudioLimits
    from codec.weights import load_package
    from serving.jobs.packages import PackageConverter

    model = load_package(Path(package))
    return PackageConverter(lambda name: model, lambda fingerprint: model, AudioLimits())


def work(log, package, lease_s):
    converter = Logged(Path(log), real(package) if package else None)
    runner = JobRunner(JobStore.open(JobLimits(job_min_free_bytes=0)), converter, float(lease_s))
    while True:
        if not runner.run_one():
            time.sleep(0.02)


def fork(*arguments):
    child = os.fork()
    if not child:
        work(*arguments)
    return child


def main():
    *arguments, together, in_turn = sys.argv[1:]
    if (together, in_turn) == ("1", "1"):
        work(*arguments)
    killed = 0
    for _ in range(int(in_turn)):
        for child in [fork(*arguments) for _ in range(int(together))]:
            _, status = os.waitpid(child, 0)
            killed += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return killed


sys.exit(main())
