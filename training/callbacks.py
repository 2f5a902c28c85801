"""Callbacks: exact steps, averaged weights, checkpoints and samples.

Order matters: the averaged weights must be updated before a checkpoint is written, or a resumed run drifts; Lightning
moves callbacks of class `Checkpoint` to the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from codec.distributed import rank
from training.keyed_random import keyed_seed
from training.run import Run
from training.stopping import RunGuard, StoppedBySignalError

SPECTROGRAM_WINDOW = 512
SPECTROGRAM_RANGE_DB = 80.0


class StepState(Callback):
    """Make each step a function of (seed, step, rank), and count the batches that finished steps consumed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Reseed whatever draws from torch's global generator."""
        torch.manual_seed(keyed_seed(self.seed, "torch", trainer.global_step, rank()))

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tell the datamodule; its prefetching loader can't know."""
        trainer.datamodule.count_batch()  # type: ignore[attr-defined]  # Lightning sets it


class AveragedWeights(WeightAveraging):
    """Exponential moving average of the weights, after every generator step.

    The decay rises as (1 + n) / (10 + n) to its final value, so that short runs aren't averages of their first steps.
    Buffers, codebooks among them, are copied, not averaged.
    """

    def __init__(self, decay: float) -> None:
        def average(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
            steps = int(count)
            torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + steps) / (10 + steps)))

        super().__init__(use_buffers=False, multi_avg_fn=average)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Keep the average on the device that trains."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)


class LastCheckpoint(Checkpoint):
    """Write `last.ckpt` every N steps, at the last one, and when a signal asks the run to stop."""

    def __init__(self, run: Run, every_n_steps: int, guard: RunGuard) -> None:
        self.run = run
        self.every_n_steps = every_n_steps
        self.guard = guard

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write, if it is time.

        Raises:
            StoppedBySignalError: A signal asked for it; a validation that is due would outlast a grace period.
        """
        step, signum = trainer.global_step, self.guard.stop_signal
        if step % self.every_n_steps == 0 or step == trainer.max_steps or trainer.should_stop or signum:
            trainer.save_checkpoint(self.run.last_checkpoint)
        if signum and step < trainer.max_steps:
            raise StoppedBySignalError(signum, step, self.run)


class BestCheckpoint(ModelCheckpoint):
    """Keep the best checkpoints by `val/mel_distance`, once the quantizer takes part."""

    def __init__(self, run: Run, keep: int) -> None:
        super().__init__(
            dirpath=run.checkpoints,
            filename="best-{step}",
            monitor="val/mel_distance",
            mode="min",
            save_top_k=keep,
            save_on_train_epoch_end=False,
        )

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write, if this validation measured a codec and not a bypassed quantizer."""
        if self.monitor in trainer.callback_metrics:
            super().on_validation_end(trainer, pl_module)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the ranking back, also where the run's folder has moved."""
        here = Path(str(self.dirpath))
        moved = {str(here / Path(path).name): score for path, score in state_dict["best_k_models"].items()}
        found = {path: score for path, score in moved.items() if Path(path).is_file()}
        paths = {key: str(here / Path(state_dict[key]).name) for key in ("best_model_path", "kth_best_model_path")}
        super().load_state_dict(state_dict | paths | {"dirpath": self.dirpath, "best_k_models": found})


class LineageRecord(Callback):
    """Write config.yaml and lineage.json when training starts, so once a resumed run's changes are accepted.

    `parent` is what lineage.json says of a fine-tuning's start.
    """

    def __init__(self, run: Run, config: str, seed: int, changes: Sequence[str], parent: dict[str, Any] | None) -> None:
        self.run = run
        self.config = config
        self.seed = seed
        self.changes = changes
        self.parent = parent

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write on rank 0."""
        if trainer.is_global_zero:
            data = cast(Any, trainer).datamodule
            self.run.write_config(self.config)
            self.run.write_lineage(
                index_sha256=data.index_sha256,
                noise_index_sha256=data.noise_index_sha256,
                seed=self.seed,
                world_size=trainer.world_size,
                changes=[*data.changed_topology, *self.changes],
                step=trainer.global_step,
                parent=self.parent,
            )


class LoggedClips(Callback):
    """Send the first validation clips to W&B at each validation: audio and spectrogram, original and decoded."""

    def __init__(self, count: int, sample_rate: int) -> None:
        self.count = count
        self.sample_rate = sample_rate

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Send one clip, from rank 0."""
        loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
        if not (loggers and trainer.is_global_zero and batch_idx < self.count):
            return
        import wandb

        media: dict[str, Any] = {"trainer/global_step": trainer.global_step}
        for name, audio in (("original", batch.audio), ("decoded", outputs)):
            samples = audio[0].float().cpu()
            clip = f"val/{name}_{batch_idx}"
            media[clip] = wandb.Audio(samples.T.numpy(), sample_rate=self.sample_rate, caption=batch.key)
            media[f"{clip}_spectrogram"] = wandb.Image(spectrogram_image(samples), caption=batch.key)
        loggers[0].experiment.log(media)


def spectrogram_image(audio: Tensor) -> np.ndarray:
    """Return a grey picture [C * F, L] uint8 of audio [C, T]: 80 dB from black to white.

    Low frequencies are at the bottom; the first channel is above the second.
    """
    window = torch.hann_window(SPECTROGRAM_WINDOW)
    hop = SPECTROGRAM_WINDOW // 4
    spectrum = torch.stft(audio, SPECTROGRAM_WINDOW, hop, window=window, pad_mode="constant", return_complex=True)
    level_db = 20 * (spectrum.abs() * 2 / SPECTROGRAM_WINDOW).clamp_min(1e-9).log10()
    grey = (1 + level_db / SPECTROGRAM_RANGE_DB).clamp(0, 1) * 255
    return grey.flip(1).flatten(0, 1).to(torch.uint8).numpy()
