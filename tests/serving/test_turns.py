"""Workers that start one after another."""

import subprocess
import sys
from pathlib import Path

import pytest

from serving.turns import Turn

ROOT = Path(__file__).parents[2]
WORKER = """
import sys
from pathlib import Path
from serving.turns import Turn
directory, turns = Path(sys.argv[1]), int(sys.argv[2])
print("begun", flush=True)
turn = Turn(directory, turns)
print("before is over" if (directory / "over").exists() else "at once", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def start(tmp_path):
    """Return what starts a worker, which says when it has begun and when it has its turn, and keeps that."""
    workers = []

    def start(turns):
        command = [sys.executable, "-c", WORKER, str(tmp_path), str(turns)]
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        workers.append(worker)
        assert worker.stdout.readline() == "begun\n"
        return worker

    yield start
    for worker in workers:
        worker.kill()
        worker.communicate()


def test_the_second_waits_for_the_end_of_the_first(start, tmp_path):
    turn = Turn(tmp_path, 1)
    second = start(1)
    (tmp_path / "over").touch()
    turn.end()
    assert second.stdout.readline() == "before is over\n"


def test_two_at_once(start, tmp_path):
    turn = Turn(tmp_path, 2)
    assert start(2).stdout.readline() == "at once\n"
    turn.end()


def test_who_dies_has_no_turn_any_more(start, tmp_path):
    worker = start(1)
    assert worker.stdout.readline() == "at once\n"
    worker.kill()
    Turn(tmp_path, 1).end()
