"""How a fresh run starts: from a fitted linear codec or a package's weights, and later from k-means codebooks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from codec.errors import RunError
from codec.model import Codec
from codec.weights import load_package
from training.strategy import broadcast_state


class CalibrationSource(Protocol):
    """What the start needs of a datamodule."""

    def calibration_audio(self, num_segments: int) -> Tensor:
        """Return the same training audio [N, C, T] on every rank."""


def start_network(codec: Codec, data: CalibrationSource, num_segments: int, init_from: str | None) -> None:
    """Fit the linear start to training audio, or take the weights of the package `init_from`.

    Raises:
        RunError: The package has another architecture.
        PackageError: It is no package.
    """
    if init_from is None:
        codec.initialize_network(data.calibration_audio(num_segments))
        return
    loaded = load_package(Path(init_from))
    if replace(loaded.package.config, name=codec.config.name) != codec.config:
        raise RunError(
            f"'{init_from}' has another codec.json than model.codec: fine-tuning needs the same architecture"
        )
    codec.load_state_dict(loaded.codec.state_dict())


@torch.no_grad()
def start_codebooks(codec: Codec, data: CalibrationSource, num_segments: int, seed: int) -> None:
    """Set the codebooks by k-means on training audio; rank 0's count, should machines round differently."""
    device = next(codec.parameters()).device
    codec.initialize_codebooks(data.calibration_audio(num_segments).to(device), seed)
    broadcast_state(codec.quantizer)
