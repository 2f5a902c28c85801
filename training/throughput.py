"""Throughput: seconds of audio trained on in a second, and the share of the time that went into waiting for data.

Lightning brackets each fetch of a batch for its profiler; that is the clock here, and it is one of the host's. So
nothing is synchronised, and on a GPU, which may still be at work while the host waits, the share is an upper bound.
"""

from __future__ import annotations

import time
from typing import Any, cast

import lightning as L  # the field's name for it
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.profilers import PassThroughProfiler

FETCH = "[_TrainingEpochLoop].train_dataloader_next"


class FetchClock(PassThroughProfiler):
    """A profiler that only adds up the seconds of fetches."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self._since = 0.0

    def start(self, action_name: str) -> None:
        """Start the clock, if it is a fetch."""
        if action_name == FETCH:
            self._since = time.monotonic()

    def stop(self, action_name: str) -> None:
        """Stop the clock, if it is a fetch."""
        if action_name == FETCH:
            self.seconds += time.monotonic() - self._since


class Throughput(Callback):
    """Log both figures with the losses, for the steps since they were last logged; validation is left out."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._clock = FetchClock()
        self._audio_seconds = 0.0
        self._started_at = self._validation_at = 0.0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Put the clock where no profiler is; a run that is profiled logs no share."""
        anyone = cast(Any, trainer)
        if type(anyone.profiler) is PassThroughProfiler:
            anyone.profiler = self._clock

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start measuring."""
        self._restart()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop measuring for a while."""
        self._validation_at = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure on."""
        self._started_at += time.monotonic() - self._validation_at

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch, and log when losses are logged: rank 0's waiting, and the audio of all ranks."""
        self._audio_seconds += len(batch) * batch.shape[-1] / self.sample_rate * trainer.world_size
        if trainer.global_step % cast(Any, trainer).log_every_n_steps:
            return
        elapsed = max(1e-9, time.monotonic() - self._started_at)
        pl_module.log("train/throughput/audio_seconds_per_second", self._audio_seconds / elapsed)
        if cast(Any, trainer).profiler is self._clock:
            pl_module.log("train/throughput/data_wait_share", min(1.0, self._clock.seconds / elapsed))
        self._restart()

    def _restart(self) -> None:
        self._started_at = time.monotonic()
        self._audio_seconds = self._clock.seconds = 0.0
