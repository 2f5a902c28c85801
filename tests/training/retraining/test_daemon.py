"""The daemon as an operator starts it: real processes, killed without warning and started again."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from codec.home import nacre_home
from registry.registry import Registry
from training.retraining.retraining import model_folder

pytestmark = pytest.mark.slow


@contextmanager
def daemon(settings):
    """Run the daemon; at the end all that it started is killed."""
    command = [sys.executable, "-m", "nacre", "retrain", "daemon", str(settings)]
    log = settings.parent / "daemon.log"
    with log.open("a") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield process
        finally:
            kill_all(process)


def kill_all(process):
    """Kill a daemon and every process that came of it, all at once."""
    if process.poll() is None:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGKILL)
        psutil.wait_procs(family[1:], timeout=10)
        process.wait()


def wait_for(condition, process, log, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, log.read_text()[-4000:]
        assert time.monotonic() < deadline, log.read_text()[-4000:]
        time.sleep(0.2)


def listening(process):
    """Return the TCP ports that a daemon and what it started listen on."""
    found = []
    for member in [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # it ended while it was looked at
            found += member.net_connections("tcp")
    return [connection.laddr for connection in found if connection.status == psutil.CONN_LISTEN]


def production():
    return Registry.open().resolve("voice@production").version


def checkpoints():
    return list(model_folder("voice").glob("*/run/checkpoints/last.ckpt"))


@pytest.mark.timeout(600)
def test_killed_with_everything_while_training_it_completes_when_started_again(settings_file):
    log = settings_file.parent / "daemon.log"
    settings_file.write_text(settings_file.read_text().replace("'40'", "'150'"))
    with daemon(settings_file) as process:
        wait_for(checkpoints, process, log)
        (run,) = {path.parents[1] for path in checkpoints()}
        kill_all(process)
    assert production() == 1
    with daemon(settings_file) as process:
        wait_for(lambda: production() == 2, process, log)
        assert listening(process) == []
    assert [version.version for version in Registry.open().list()] == [1, 2]
    assert {path.parents[0] for path in model_folder("voice").glob("*/run")} == {run.parent}


def test_only_one_daemon_runs_and_bad_settings_are_one_line(settings_file, tmp_path):
    settings_file.write_text(settings_file.read_text().replace("hours: 0.001", "hours: 100"))
    with daemon(settings_file) as process:
        lock = nacre_home() / "retrain" / "dagster" / "daemon.lock"
        wait_for(lock.exists, process, settings_file.parent / "daemon.log")
        second = run("retrain", "daemon", settings_file)
        assert (second.returncode, second.stderr.count("\n")) == (1, 1)
        assert "is running already" in second.stderr
    bad = Path(tmp_path / "bad.yaml")
    bad.write_text("model: voice")
    result = run("retrain", "daemon", bad)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "required: inbox" in result.stderr


def run(*words):
    command = [sys.executable, "-m", "nacre", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=60)
