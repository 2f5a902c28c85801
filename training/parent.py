"""What a fine-tuning starts from: a package, by its folder or its registered name, or a run with all that it learned.

A package gives the codec's weights and codebooks; discriminators and optimizers start afresh. A run, or one of its
checkpoints, gives both networks, the averaged weights and both optimizers' moments. Steps and learning rates begin
anew in either case, and so does `model.discriminator.start_step`: set it to 0 where the discriminator has learned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from codec.config import CodecConfig
from codec.errors import RunError
from codec.weights import load_package
from registry.resolve import find_package
from training.checkpoint_io import load_checkpoint
from training.run import Run

# Keys of a codec that only training reads, or nobody: they may differ from the parent's.
FREE_KEYS = frozenset({"name", "quantizer.ema_decay", "quantizer.dead_share"})
NETWORKS = ("codec.", "discriminator.")
# As many differences are named; a message is one line.
MOST_NAMED = 6


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A loaded parent.

    Attributes:
        where: What the user called it.
        lineage: What the new run's lineage.json records of it.
        codec: Its codec's configuration.
        weights: Tensors of its networks, by their names in the LightningModule.
        checkpoint: All of a run's checkpoint; None for a package.
    """

    where: str
    lineage: dict[str, Any]
    codec: CodecConfig
    weights: dict[str, Tensor]
    checkpoint: dict[str, Any] | None

    def check(self, codec: CodecConfig, discriminator: nn.Module) -> None:
        """Check that the new run's networks have the parent's shapes.

        Raises:
            RunError: They don't; the message names the keys.
        """
        if differing := differing_keys(self.codec, codec):
            raise RunError(
                f"'{self.where}' has another model.codec, and fine-tuning needs the same: it differs in {differing}"
            )
        if self.checkpoint is not None and (differing := self._differing_tensors(discriminator)):
            raise RunError(
                f"'{self.where}' has another model.discriminator: it differs in {differing}; give the same one, or"
                " start from the run's package (nacre train export) with a fresh one"
            )

    def _differing_tensors(self, discriminator: nn.Module) -> str:
        """Name the tensors of a discriminator that the parent lacks, has besides, or has in other shapes."""
        ours = {f"discriminator.{name}": list(tensor.shape) for name, tensor in discriminator.state_dict().items()}
        theirs = {name: list(tensor.shape) for name, tensor in self.weights.items() if name.startswith(NETWORKS[1])}
        return _describe(theirs, ours)


def open_parent(where: str) -> Parent:
    """Open a run's folder, its checkpoint, a package's folder, or `NAME`, `NAME:VERSION`, `NAME@ALIAS` of the registry.

    Raises:
        RunError: The run has no checkpoint, or one that can't be loaded.
        PackageError: It is no package, or an altered one.
        UnknownModelError: There is neither such a folder nor such a model.
    """
    path = Path(where).expanduser()
    if path.is_file():
        return _open_checkpoint(where, path)
    if Run(path).config.is_file():
        return _open_checkpoint(where, Run(path).last_checkpoint)
    return _open_package(where)


def differing_keys(theirs: CodecConfig, ours: CodecConfig) -> str:
    """Name the keys of model.codec whose values differ and decide the network; empty if there are none."""
    flat = [_flatten(asdict(config)) for config in (theirs, ours)]
    kept = [{f"codec.{key}": value for key, value in config.items() if key not in FREE_KEYS} for config in flat]
    return _describe(*kept)


def _open_checkpoint(where: str, path: Path) -> Parent:
    checkpoint = load_checkpoint(path)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    state = checkpoint["current_model_state"]
    return Parent(
        where=where,
        lineage={
            "kind": "bundle",
            "name": path.absolute().parent.parent.name,
            "checkpoint": path.name,
            "checkpoint_sha256": sha256,
            "steps": checkpoint["global_step"],
        },
        codec=CodecConfig.from_json(checkpoint["nacre"]["codec"]),
        weights={name: tensor for name, tensor in state.items() if name.startswith(NETWORKS)},
        checkpoint=checkpoint,
    )


def _open_package(where: str) -> Parent:
    found = find_package(where)
    loaded = load_package(found.directory)
    package = loaded.package
    return Parent(
        where=where,
        lineage={
            "kind": "package",
            "name": found.version.name if found.version else package.config.name,
            "version": found.version.version if found.version else None,
            "fingerprint": package.fingerprint,
        },
        codec=package.config,
        weights={f"codec.{name}": tensor for name, tensor in loaded.codec.state_dict().items()},
        checkpoint=None,
    )


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Give each leaf of nested mappings its dotted key."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves |= _flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return leaves


def _describe(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """Say in which keys two flat mappings differ, and how."""
    keys = [key for key in {**ours, **theirs} if theirs.get(key) != ours.get(key)]
    named = [f"{key} ({theirs.get(key, 'absent')} there, {ours.get(key, 'absent')} here)" for key in keys[:MOST_NAMED]]
    return ", ".join(named) + (f" and {len(keys) - MOST_NAMED} more" if len(keys) > MOST_NAMED else "")
