"""Throughput, by a clock that only moves when a step, a fetch or a validation takes its time."""

import warnings
from types import SimpleNamespace

import lightning as L  # noqa: N812  # the field's name for it
import pytest
import torch

from training import throughput
from training.throughput import Throughput

FETCH_SECONDS, STEP_SECONDS, VALIDATION_SECONDS = 0.25, 0.75, 100.0


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


class Batches:
    """Endless batches of 4 items of a second, each of which takes its time to fetch."""

    def __init__(self, clock):
        self.clock = clock

    def __iter__(self):
        while True:
            self.clock.now += FETCH_SECONDS
            yield torch.zeros(4, 1, 16_000)


class Slow(L.LightningModule):
    def __init__(self, clock):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.clock = clock

    def training_step(self, batch, batch_idx):
        self.clock.now += STEP_SECONDS
        return self.weight * batch.mean()

    def validation_step(self, batch, batch_idx):
        self.clock.now += VALIDATION_SECONDS

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Kept(L.Callback):
    def __init__(self):
        self.values = []

    def on_train_batch_end(self, trainer, *_):
        logged = {k.split("/")[-1]: float(v) for k, v in trainer.callback_metrics.items() if "throughput" in k}
        if logged and logged not in self.values:
            self.values.append(logged)


@pytest.fixture
def train(monkeypatch, tmp_path):
    """Return a function that trains and returns what was logged."""
    clock = Clock()
    monkeypatch.setattr(throughput, "time", SimpleNamespace(monotonic=clock.monotonic))

    def run(**options):
        kept = Kept()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = L.Trainer(
                accelerator="cpu",
                max_steps=8,
                max_epochs=-1,
                log_every_n_steps=2,
                val_check_interval=3,
                check_val_every_n_epoch=None,
                num_sanity_val_steps=0,
                callbacks=[Throughput(16_000), kept],
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                default_root_dir=tmp_path,
                **options,
            )
            trainer.fit(Slow(clock), Batches(clock), [torch.zeros(1)])
        return kept.values

    return run


def test_validation_counts_for_nothing_and_fetches_for_waiting(train):
    assert train() == [{"audio_seconds_per_second": pytest.approx(4.0), "data_wait_share": pytest.approx(0.25)}]


def test_a_run_that_is_profiled_keeps_its_profiler(train):
    assert train(profiler="simple") == [{"audio_seconds_per_second": pytest.approx(4.0)}]
