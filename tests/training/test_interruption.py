"""Whatever ends a job, `--resume` goes on to the same bits: real processes of `nacre train fit`."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from training.checkpoint_io import load_checkpoint
from training.run import Run

NACRE = str(Path(sys.executable).with_name("nacre"))
QUIET = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "GLOO_SOCKET_IFNAME": "lo"}
STEPS = 100
STRAGGLER = """
import time
from lightning.pytorch.callbacks import Callback


class Straggler(Callback):
    def on_train_batch_start(self, trainer, *_):
        time.sleep(0.2 * trainer.global_rank)
"""

pytestmark = pytest.mark.slow


def start(*words, **environment):
    """Start `nacre train fit` as the leader of a process group."""
    command = [NACRE, "train", "fit", *map(str, words)]
    kept = {name: value for name, value in os.environ.items() if name not in ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    return subprocess.Popen(command, env=kept | QUIET | environment, **pipes)


def finish(job):
    """Wait for a job and return (exit status, its stderr)."""
    _, errors = job.communicate(timeout=240)
    return job.returncode, errors


def complete(*words, **environment):
    status, errors = finish(start(*words, **environment))
    assert status == 0, errors
    return errors


def await_checkpoint(run, job):
    while not (run / "checkpoints" / "last.ckpt").is_file():
        assert job.poll() is None, finish(job)
        time.sleep(0.05)


@pytest.fixture
def config(tiny_config, uneven_shards):
    """Write a configuration of two workers that checkpoints in the middle of epochs."""
    return lambda **changes: tiny_config(
        **{
            "data__directory": str(uneven_shards),
            "data__num_workers": 2,
            "trainer__max_steps": STEPS,
            "trainer__limit_val_batches": 0,
            "run__checkpoint_every_n_steps": 7,
        }
        | changes
    )


def test_killed_at_any_point_it_goes_on_from_the_last_checkpoint(tmp_path, config, assert_same_training):
    complete("--config", config(), "--run-dir", tmp_path / "straight")
    broken = tmp_path / "broken"
    job = start("--config", config(), "--run-dir", broken)
    await_checkpoint(broken, job)
    time.sleep(random.uniform(0, 1))  # noqa: S311  # any point must do
    os.killpg(job.pid, signal.SIGKILL)
    assert finish(job)[0] == -signal.SIGKILL
    assert load_checkpoint(Run(broken).last_checkpoint)["global_step"] % 7 == 0
    complete("--resume", broken)
    assert_same_training(tmp_path / "straight", broken)


def test_signals_save_first_and_resuming_equals_never_stopping(tmp_path, config, assert_same_training):
    """SIGTERM to one process, as a scheduler sends it, then Ctrl-C, which a terminal sends to workers too."""
    settings = {"run__checkpoint_every_n_steps": 1000, "trainer__max_steps": 200}
    complete("--config", config(**settings), "--run-dir", tmp_path / "straight")
    stopped = tmp_path / "stopped"
    job = start("--config", config(**settings), "--run-dir", stopped)
    await_steps(stopped, 3, job)
    job.send_signal(signal.SIGTERM)
    first = check_stopped(job, stopped, signal.SIGTERM)

    job = start("--resume", stopped)
    await_steps(stopped, first + 3, job)
    os.killpg(job.pid, signal.SIGINT)
    second = check_stopped(job, stopped, signal.SIGINT)
    assert first < second < 200
    complete("--resume", stopped)
    assert_same_training(tmp_path / "straight", stopped)


def await_steps(run, count, job):
    """Wait until the run has logged step number `count`."""
    metrics = Run(run).metrics
    while not (metrics.is_file() and any(json.loads(line)["step"] >= count for line in whole_lines(metrics))):
        assert job.poll() is None, finish(job)
        time.sleep(0.05)


def whole_lines(path):
    return path.read_text().split("\n")[:-1]


def check_stopped(job, run, signum):
    """Check how a stopped job ended, and return its checkpoint's step."""
    status, errors = finish(job)
    step = load_checkpoint(Run(run).last_checkpoint)["global_step"]
    assert status == 128 + signum, errors
    assert "Traceback" not in errors
    says = f"nacre: stopped by {signum.name} after step {step}, with a checkpoint: go on with"
    assert errors.count(says) == 1, errors
    return step


def test_a_straggling_rank_stops_with_the_others(tmp_path, config, assert_same_training):
    (tmp_path / "straggler.py").write_text(STRAGGLER)
    environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    settings = {"run__checkpoint_every_n_steps": 1000, "trainer__max_steps": 24, "trainer__devices": 2}
    settings |= {"data__num_workers": 1, "data__batch_size": 2}
    complete("--config", config(**settings), "--run-dir", tmp_path / "straight")
    stopped = tmp_path / "stopped"
    path = config(**settings, trainer__callbacks=[{"class_path": "straggler.Straggler"}])
    job = start("--config", path, "--run-dir", stopped, **environment)
    await_steps(stopped, 3, job)
    job.send_signal(signal.SIGTERM)
    assert check_stopped(job, stopped, signal.SIGTERM) < 24
    complete("--resume", stopped, **environment)
    assert_same_training(tmp_path / "straight", stopped)


def test_a_value_that_is_not_finite_ends_all_ranks_with_one_line(tmp_path, config):
    options = ["--model.optimizer.learning_rate", "1e38", "--trainer.devices", "2", "--data.batch_size", "2"]
    status, errors = finish(start("--config", config(), "--run-dir", tmp_path / "run", *options))
    assert status == 1, errors
    (line,) = [line for line in errors.splitlines() if line.startswith("nacre: ")]
    assert "not finite at step" in line
    assert "Traceback" not in errors
