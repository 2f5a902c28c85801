"""Progress of a run: a bar on a terminal, plain lines in a log; both with seconds of audio per second and ETA.

A validation that takes longer than a moment shows its own.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

SECONDS_BETWEEN_LINES = 10.0
# A validation shorter than this shows its results alone.
QUIET_SECONDS = 2.0


class TrainingProgress(Callback):
    """Show step, loss, rate and remaining time on stderr, from rank 0."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._validation: TaskID | None = None
        self._validation_at = 0.0
        self._started_at = self._line_at = 0.0
        self._first_step = 0
        self._audio_seconds = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock, and the bar if there is a terminal."""
        self._started_at = self._line_at = time.monotonic()
        self._first_step = trainer.global_step
        self._audio_seconds = 0.0
        if trainer.is_global_zero and sys.stderr.isatty():
            columns = (TextColumn("{task.fields[what]}"), BarColumn(), TextColumn("{task.description}"))
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task("", total=trainer.max_steps, what="training")
            self._bar.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance."""
        self._audio_seconds += len(batch) * batch.shape[-1] / self.sample_rate * trainer.world_size
        if not trainer.is_global_zero:
            return
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_step, description=self._line(trainer))
        elif self._is_due(trainer):
            self._line_at = time.monotonic()
            print(f"training: {self._line(trainer)}", file=sys.stderr, flush=True)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start validation's clock."""
        self._validation_at = time.monotonic()

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Show how many of rank 0's clips are done, if it takes longer than a moment."""
        now = time.monotonic()
        if not trainer.is_global_zero or now - self._validation_at < QUIET_SECONDS:
            return
        done, total = batch_idx + 1, int(trainer.num_val_batches[dataloader_idx])
        clips = f"clip {done}/{total}"
        if self._bar is None:
            if now - max(self._line_at, self._validation_at) >= SECONDS_BETWEEN_LINES:
                self._line_at = now
                print(f"validation: {clips}", file=sys.stderr, flush=True)
        elif self._validation is None:
            self._validation = self._bar.add_task(clips, total=total, completed=done, what="validation")
        else:
            self._bar.update(self._validation, completed=done, description=clips)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show what validation measured."""
        if self._bar is not None and self._validation is not None:
            self._bar.remove_task(self._validation)
            self._validation = None
        if trainer.is_global_zero and not trainer.sanity_checking:
            values = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
            if "val/mel_distance" in values:
                # Those of a bypassed quantizer are of the past.
                values = {name: value for name, value in values.items() if "/bypass/" not in name}
            # Lower bitrates are in the curves.
            values = {name: value for name, value in values.items() if "kbps/" not in name}
            text = "  ".join(f"{name}={float(value):.3f}" for name, value in values.items())
            line = f"validation at step {trainer.global_step}: {text}"
            if self._bar is not None:
                self._bar.console.print(line, highlight=False)
            else:
                print(line, file=sys.stderr, flush=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the bar."""
        self._stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Stop the bar, so that the error stands below it."""
        self._stop()

    def _is_due(self, trainer: L.Trainer) -> bool:
        late = time.monotonic() - self._line_at >= SECONDS_BETWEEN_LINES
        return late or trainer.global_step in (self._first_step + 1, trainer.max_steps)

    def _line(self, trainer: L.Trainer) -> str:
        elapsed = max(1e-6, time.monotonic() - self._started_at)
        done = trainer.global_step - self._first_step
        remaining = int(elapsed / max(1, done) * (trainer.max_steps - trainer.global_step))
        eta = f"{remaining // 3600}:{remaining // 60 % 60:02}:{remaining % 60:02}"
        loss = trainer.callback_metrics.get("train/gen/loss")
        text = "" if loss is None else f"  loss {float(loss):.3f}"
        wait = trainer.callback_metrics.get("train/throughput/data_wait_share")
        waited = "" if wait is None else f", {float(wait):.0%} of it waiting for data"
        rate = self._audio_seconds / elapsed
        return f"step {trainer.global_step}/{trainer.max_steps}{text}  {rate:.1f}x real time{waited}  ETA {eta}"

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
