"""Export a run's checkpoint, averaged weights, to a package."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from codec.config import CodecConfig
from codec.errors import RunError
from codec.model import Codec
from codec.package import Package
from codec.weights import write_package
from training.checkpoint_io import load_checkpoint
from training.run import Run, open_run

Which = Literal["best", "last"]


def export_package(run: Path, out: Path, which: Which = "best", *, half: bool = False) -> Package:
    """Write a package from the run's best checkpoint by `val/mel_distance`, or from its last.

    With `half` weights are stored in half precision. The metrics are those of the checkpoint's latest validation, if
    there was one, and the health of its codebooks.

    Raises:
        RunError: It is no run, or has no such checkpoint, or stopped before its quantizer started.
        PackageError: `out` exists already, or a weight is too large for half precision.
    """
    opened = open_run(run)
    path, checkpoint = _choose(opened, which)
    config = CodecConfig.from_json(checkpoint["nacre"]["codec"])
    codec = Codec(config)
    prefix = "codec."
    weights = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
    codec.load_state_dict(weights)
    if not bool(codec.quantizer.initialized):
        raise RunError(f"'{path}' stopped before its quantizer started (model.quantizer.start_step): train on")
    lineage = opened.read_lineage() | {
        "steps": checkpoint["global_step"],
        "checkpoint": path.name,
        "checkpoint_sha256": _sha256(path),
    }
    metrics = checkpoint["nacre"]["metrics"] | {"codebook": codec.quantizer.health().to_metrics()}
    return write_package(out, codec, metrics=metrics, lineage=lineage, half=half)


def _choose(run: Run, which: Which) -> tuple[Path, dict[str, Any]]:
    """Return the path and content of the checkpoint to export."""
    if which == "last":
        return run.last_checkpoint, load_checkpoint(run.last_checkpoint)
    candidates = {path: load_checkpoint(path) for path in sorted(run.checkpoints.glob("best-*.ckpt"))}
    if not candidates:
        raise RunError(
            f"'{run.directory}' has no best checkpoint, as no validation followed the quantizer's start: "
            "train on, or export with --checkpoint last"
        )
    best = min(candidates, key=lambda path: candidates[path]["nacre"]["metrics"]["mel_distance"])
    return best, candidates[best]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
