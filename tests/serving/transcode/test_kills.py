"""Kill -9 at random points, many times: the tree ends as after one clean run, and nothing done is done again."""

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from serving.transcode.settings import Settings
from transcoding import tree

KILLS = 30
FILES = 250  # enough that no run comes to its end before it is killed
TESTS = Path(__file__).parents[2]

# Starts a run of its own for each byte that it reads; a run writes a byte and a line for each outcome that is settled.
ZYGOTE = """
import os, sys
sys.path[:0] = [{root!r}, {tests!r}]
import torch
torch.set_num_threads(1)
from pathlib import Path
from codec.weights import load_package
from serving.transcode import coordinator
from serving.transcode.engines.inline import InlineEngine
from serving.transcode.order import Order
from serving.transcode.settings import Settings

model = load_package(Path({package!r}))
order = Order(source={source!r}, target={target!r}, package=Path({package!r}), fingerprint=model.package.fingerprint,
              settings=Settings(num_quantizers=2, sink={sink!r}), shard_records=16)

class Engine(InlineEngine):
    def run(self, job, batches, *, alone=False):
        for outcome in super().run(job, batches, alone=alone):
            yield outcome
            os.write(log, outcome.source.encode() + b"\\n")
            os.write(1, b".")

log = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
while os.read(0, 1):
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        coordinator.transcode(order, Engine(model))
        os._exit(0)
    os.setpgid(child, child)  # both do it, so that there is a group to be killed, whoever is first
    os.write(1, b"%08d" % child)
    status = os.waitpid(child, 0)[1]
    os.write(1, b"K" if os.WIFSIGNALED(status) else b"E" if not status else b"!")
"""


class Zygote:
    """A process that has everything loaded and forks runs."""

    def __init__(self, code):
        self.process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, kill_after=None, wait_s=0.0):
        """Run, and kill the run's group after so many outcomes and a moment; return how it ended, and its outcomes."""
        os.write(self.process.stdin.fileno(), b"r")
        child = int(self.read(8))
        outcomes, killed = 0, False
        while True:
            if kill_after is not None and not killed and outcomes >= kill_after:
                select.select([], [], [], wait_s)
                os.killpg(child, signal.SIGKILL)
                killed = True
            byte = self.read(1)
            if byte != b".":
                return byte, outcomes
            outcomes += 1

    def read(self, count):
        data = b""
        while len(data) < count:
            part = os.read(self.process.stdout.fileno(), count - len(data))
            assert part, "the runs' process is gone"
            data += part
        return data


@pytest.fixture
def zygote(package, tmp_path):
    started = []

    def start(source, target, sink):
        code = ZYGOTE.format(
            root=str(TESTS.parent),
            tests=str(TESTS),
            package=str(package),
            source=str(source),
            target=str(target),
            sink=sink,
            log=str(tmp_path / "log"),
        )
        started.append(Zygote(code))
        return started[-1]

    yield start
    for each in started:
        each.process.stdin.close()
        each.process.wait(20)
        each.process.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize("sink", ["tree", "containers"])
def test_killed_thirty_times_it_ends_as_one_clean_run(run, zygote, tmp_path, make_audio, sink):
    source, target = tmp_path / "source", tmp_path / "out"
    for index in range(FILES):
        path = source / f"{index % 7}" / f"{index:03d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_audio(seconds=0.05 + 0.001 * (index % 13), seed=index))
    (source / "fake.wav").write_text("no audio")
    draw = random.Random(0)  # noqa: S311  # not for secrets
    runs = zygote(source, target, sink)
    for _ in range(KILLS):
        assert runs.run(kill_after=draw.choice([0, 0, 1, 2, 3, 5]), wait_s=draw.uniform(0, 0.04))[0] == b"K"
    assert runs.run()[0] == b"E"
    run(source, tmp_path / "clean", Settings(num_quantizers=2, sink=sink), shard_records=16)
    assert tree(target) == tree(tmp_path / "clean")
    assert not list(target.rglob(".nacre*"))
    settled = [name for name in (tmp_path / "log").read_text().split() if name != "fake.wav"]
    assert len(settled) == len(set(settled))
    assert FILES - KILLS <= len(settled) <= FILES
