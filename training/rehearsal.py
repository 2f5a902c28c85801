"""A few real training steps on synthetic audio: what they take, before a run is started.

The LightningModule is copied and trained by a Trainer of its own, without data, logs or files. The quantizer takes
part from the first step, and the discriminator too if asked for.

Axes: audio [B, C, T].
"""

from __future__ import annotations

import statistics
import time
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from training.callbacks import AveragedWeights
from training.live_memory import LiveMemory
from training.module import CodecTrainer

# A step allocates the optimizers' state first; the ones after it are alike.
WARM_UP_STEPS = 1
CALIBRATION_SEGMENTS = 8
LOUDNESS = 0.1


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What one step took: `seconds`, the median, and `peak_bytes` of the tensors it made (0 unless asked for)."""

    seconds: float
    peak_bytes: int


def rehearse(
    module: CodecTrainer,
    *,
    batch_size: int,
    segment_samples: int,
    steps: int,
    precision: Any,
    accelerator: str,
    adversarial: bool,
    counts_memory: bool = False,
) -> Rehearsal:
    """Take `steps` steps with batches of `batch_size` crops, after one to warm up; `module` stays as it is.

    Memory is counted on a CPU alone, and counting it makes steps a little slower.
    """
    rehearsed = _copy(module, adversarial=adversarial)
    data = SyntheticAudio(rehearsed, batch_size, segment_samples)
    rehearsed.codec.initialize_codebooks(data.calibration_audio(CALIBRATION_SEGMENTS))
    watch = _Watch(counts_memory)
    trainer = L.Trainer(
        accelerator=accelerator,
        devices=1,
        precision=precision,
        max_steps=WARM_UP_STEPS + steps,
        callbacks=[AveragedWeights(0.9), watch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    trainer.fit(rehearsed, datamodule=data)
    seconds = statistics.median(watch.seconds[WARM_UP_STEPS:])
    return Rehearsal(seconds=seconds, peak_bytes=watch.peak_bytes)


def encoding_bytes(module: CodecTrainer, segments: int, segment_samples: int) -> int:
    """Return the peak of encoding `segments` crops at once, as the start of the codebooks does; module on a CPU."""
    audio = synthetic_audio(module, segments, segment_samples)
    with torch.no_grad(), LiveMemory() as memory:
        module.codec.encoder(audio)
    return int(memory.peak_bytes)


def synthetic_audio(module: CodecTrainer, items: int, segment_samples: int) -> Tensor:
    """Return noise [items, C, segment_samples] at the loudness of speech."""
    generator = torch.Generator().manual_seed(items)
    return LOUDNESS * torch.randn(items, module.codec_config.channels, segment_samples, generator=generator)


class SyntheticAudio(L.LightningDataModule):
    """The same batch of noise at each step."""

    index_sha256 = ""

    def __init__(self, module: CodecTrainer, batch_size: int, segment_samples: int) -> None:
        super().__init__()
        self.sample_rate = module.codec_config.sample_rate
        self.channels = module.codec_config.channels
        self._module = module
        self._segment_samples = segment_samples
        self._batch = synthetic_audio(module, batch_size, segment_samples)

    def train_dataloader(self) -> Any:
        """Return the batch, for more steps than are taken."""
        return torch.utils.data.DataLoader([self._batch] * 1000, batch_size=None)  # type: ignore[arg-type]  # a list is a data set

    def val_dataloader(self) -> Any:
        """Return the same; nothing is validated."""
        return self.train_dataloader()

    def calibration_audio(self, num_segments: int) -> Tensor:
        """Return a few segments, however many are asked for."""
        return synthetic_audio(self._module, min(num_segments, CALIBRATION_SEGMENTS), self._segment_samples)

    def noise_segments(self, step: int) -> Tensor:
        """Return the batch: as noise it is as good."""
        return self._batch


class _Watch(Callback):
    """Time each step, and count the memory of those after the first."""

    def __init__(self, counts_memory: bool) -> None:
        self.seconds: list[float] = []
        self.peak_bytes = 0
        self._counts_memory = counts_memory
        self._memory: LiveMemory | None = None
        self._counting = ExitStack()
        self._started_at = 0.0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock, and the count."""
        if self._counts_memory and batch_idx >= WARM_UP_STEPS:
            pl_module.zero_grad()
            self._memory = self._counting.enter_context(LiveMemory())
        _wait(pl_module.device)
        self._started_at = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop both."""
        _wait(pl_module.device)
        self.seconds.append(time.perf_counter() - self._started_at)
        if self._memory is not None:
            self._counting.close()
            self.peak_bytes = max(self.peak_bytes, self._memory.peak_bytes)
            self._memory = None


def _copy(module: CodecTrainer, *, adversarial: bool) -> CodecTrainer:
    """Return a copy that starts afresh, with everything taking part from its first step."""
    rehearsed = deepcopy(module)
    rehearsed.init_from = None
    start = 0 if adversarial else None
    rehearsed.discriminator_config = replace(module.discriminator_config, start_step=start, lead_steps=0)
    return rehearsed


def _wait(device: torch.device) -> None:
    """Let the device finish what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
