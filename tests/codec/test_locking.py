import subprocess
import sys
import threading

import pytest

from codec.errors import RunError
from codec.locking import is_locked, locked

HOLD = """
import sys, time
from pathlib import Path
from codec.locking import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def held(tmp_path):
    """A process that holds the lock."""
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "lock"], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_lock_that_is_held_is_refused_as_told(held, tmp_path):
    with pytest.raises(RunError, match="wait for it"), locked(tmp_path / "lock", RunError("wait for it")):
        raise AssertionError


def test_without_a_refusal_it_waits_until_the_holder_is_killed(held, tmp_path):
    taken = threading.Event()

    def take():
        with locked(tmp_path / "lock"):
            taken.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert not taken.wait(0.2)
    held.kill()
    thread.join(10)
    assert taken.is_set()


def test_a_folder_can_be_the_lock_and_is_free_after_an_error(tmp_path):
    with pytest.raises(ValueError, match="within"), locked(tmp_path, RunError("held")):
        raise ValueError("within")
    with locked(tmp_path, RunError("held")), pytest.raises(RunError), locked(tmp_path, RunError("held")):
        raise AssertionError
    assert not list(tmp_path.iterdir())


def test_whether_a_lock_is_held_can_be_asked_without_making_or_taking_it(held, tmp_path):
    assert is_locked(tmp_path / "lock")
    held.kill()
    held.wait()
    assert not is_locked(tmp_path / "lock")
    assert not is_locked(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with locked(tmp_path / "lock", RunError("held")):
        assert is_locked(tmp_path / "lock")
