"""How a run starts: codebooks by k-means, or where it is fine-tuned, from all that its parent learned."""

from __future__ import annotations

from typing import Any, Protocol, cast

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from torch import Tensor

from codec.model import Codec
from training.parent import Parent
from training.strategy import broadcast_state


class CalibrationSource(Protocol):
    """What the start needs of a datamodule."""

    def calibration_audio(self, num_segments: int) -> Tensor:
        """Return the same training audio [N, C, T] on every rank."""


class FineTuning(Callback):
    """Give a run its parent's weights and, from a bundle, averaged weights and optimizer moments.

    Codebooks come set, so no k-means sets them again. Adam's own count of steps comes with its moments, which it
    corrects by that count; the run's steps and learning rates begin anew.
    """

    def __init__(self, parent: Parent) -> None:
        self._parent: Parent | None = parent

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Load, the same on every rank, and let go of the parent."""
        parent, self._parent = self._parent, None
        assert parent is not None
        weights = pl_module.state_dict() | parent.weights
        if parent.checkpoint is None:
            pl_module.load_state_dict(weights)
            return
        averaging = {name: parent.checkpoint["state_dict"][name] for name in parent.weights}
        state = {
            "current_model_state": weights,
            "state_dict": pl_module.state_dict() | averaging,
            "averaging_state": parent.checkpoint["averaging_state"],
        }
        for callback in cast(Any, trainer).callbacks:
            if isinstance(callback, WeightAveraging):
                callback.on_load_checkpoint(trainer, pl_module, state)
        for optimizer, saved in zip(trainer.optimizers, parent.checkpoint["optimizer_states"], strict=True):
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": saved["state"], "param_groups": groups})


@torch.no_grad()
def start_codebooks(codec: Codec, data: CalibrationSource, num_segments: int, seed: int) -> None:
    """Set the codebooks by k-means on training audio; rank 0's count, should machines round differently."""
    device = next(codec.parameters()).device
    codec.initialize_codebooks(data.calibration_audio(num_segments).to(device), seed)
    broadcast_state(codec.quantizer)
