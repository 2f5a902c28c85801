"""Checkpoint files: written atomically, loaded without running any code that they might hold."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from codec.errors import RunError
from codec.files import atomic_path


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write through a temporary name in the same folder; Lightning's own goes through another file system's /tmp."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`, whole or not at all."""
        with atomic_path(Path(path)) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        """Load with `weights_only`, whatever is asked."""
        return load_checkpoint(Path(path))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Load a checkpoint to the CPU, refusing pickled code.

    Raises:
        RunError: It is missing, damaged or holds more than tensors and plain values.
    """
    if not path.is_file():
        raise RunError(f"there is no checkpoint '{path}'")
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise RunError(f"'{path}' is not a checkpoint that can be loaded ({type(error).__name__})") from None
    if "nacre" not in checkpoint:
        raise RunError(f"'{path}' is not a checkpoint of a Nacre run")
    return checkpoint
