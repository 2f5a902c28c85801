"""What a run shows, by a clock that the tests move."""

import io
import re
import sys
from types import SimpleNamespace

import pytest
import torch

from training import progress
from training.cli import fit
from training.progress import TrainingProgress

BATCH = torch.zeros(4, 1, 16_000)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def trainer():
    return SimpleNamespace(
        is_global_zero=True,
        sanity_checking=False,
        global_step=0,
        max_steps=100,
        world_size=2,
        num_val_batches=[20],
        callback_metrics={},
    )


def step(shown, trainer):
    trainer.global_step += 1
    shown.on_train_batch_end(trainer, None, None, BATCH, 0)


def validate(shown, trainer, clock, seconds):
    """Validate 20 clips of `seconds` each."""
    shown.on_validation_start(trainer, None)
    for index in range(20):
        clock.now += seconds
        shown.on_validation_batch_end(trainer, None, None, None, index)
    shown.on_validation_end(trainer, None)


def test_a_log_gets_plain_lines(clock, trainer, monkeypatch):
    monkeypatch.setattr(sys, "stderr", log := io.StringIO())
    shown = TrainingProgress(16_000)
    shown.on_train_start(trainer, None)
    for _ in range(3):
        clock.now += 4
        step(shown, trainer)
    trainer.callback_metrics["train/throughput/data_wait_share"] = torch.tensor(0.25)
    clock.now += 8
    step(shown, trainer)
    trainer.callback_metrics = {
        name: torch.tensor(1.5) for name in ("val/mel_distance", "val/bypass/stoi", "val/1.5kbps/stoi")
    }
    validate(shown, trainer, clock, 0.05)
    validate(shown, trainer, clock, 1.0)
    assert log.getvalue().splitlines() == [
        "training: step 1/100  2.0x real time  ETA 0:06:36",
        "training: step 4/100  1.6x real time, 25% of it waiting for data  ETA 0:08:00",
        "validation at step 4: val/mel_distance=1.500",
        "validation: clip 10/20",
        "validation: clip 20/20",
        "validation at step 4: val/mel_distance=1.500",
    ]


@pytest.mark.parametrize("seconds, is_shown", [(0.05, False), (0.5, True)])
def test_a_terminal_gets_a_bar_and_one_for_a_long_validation(clock, trainer, monkeypatch, seconds, is_shown):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    shown = TrainingProgress(16_000)
    shown.on_train_start(trainer, None)
    clock.now += 4
    step(shown, trainer)
    shown.on_validation_start(trainer, None)
    for index in range(20):
        clock.now += seconds
        shown.on_validation_batch_end(trainer, None, None, None, index)
    shown._bar.refresh()
    during = terminal.getvalue()
    shown.on_validation_end(trainer, None)
    terminal.truncate(0)
    shown._bar.refresh()
    after = terminal.getvalue()
    shown.on_train_end(trainer, None)
    assert re.search(r"training .*step 1/100  2.0x real time  ETA 0:06:36", during)
    assert ("clip 20/20" in during) is is_shown
    assert "clip" not in after


def test_no_other_bar_is_drawn_beside_it(tmp_path, tiny_config, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(sys, "stdout", other := Terminal())
    fit(["--config", str(tiny_config(trainer__max_steps=4))], run_dir=tmp_path / "run")
    assert "step 4/4" in terminal.getvalue()
    assert other.getvalue() == ""
    for text in ("Epoch", "it/s", "Validation DataLoader"):
        assert text not in terminal.getvalue()
