"""Weights: a codec's tensors into a package, and back out of it, through safetensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from codec.container.coder import BlockCoder
from codec.entropy.coder import EntropyCoder
from codec.entropy.storage import load_tables, save_tables
from codec.entropy.tables import EntropyTables
from codec.errors import PackageError
from codec.model import Codec
from codec.package import ENTROPY, WEIGHTS, Package, create_package, open_package


@dataclass(frozen=True)
class LoadedPackage:
    """A package with its codec built, in evaluation mode, and its entropy coder if it has one."""

    package: Package
    codec: Codec
    coder: BlockCoder | None


def write_package(
    directory: Path,
    codec: Codec,
    *,
    metrics: dict[str, Any],
    lineage: dict[str, Any],
    tables: EntropyTables | None = None,
    half: bool = False,
) -> Package:
    """Write a package atomically: `directory` appears whole or not at all.

    With `half` weights are rounded to half precision, as which they take half the bytes; they are loaded in single
    precision all the same.

    Raises:
        PackageError: `directory` exists already, or a weight is too large for half precision.
    """
    weights = _halved(_weights(codec)) if half else _weights(codec)
    return create_package(
        directory,
        codec.config,
        lambda path: save_file(weights, path),
        write_entropy=None if tables is None else partial(save_tables, tables),
        metrics=metrics,
        lineage=lineage,
    )


def load_package(directory: Path, device: str | torch.device = "cpu") -> LoadedPackage:
    """Verify a package and build its codec on `device`, in evaluation mode.

    Raises:
        PackageError: As `open_package`, or the weights or entropy tables don't fit the configuration.
    """
    package = open_package(directory)
    codec = Codec(package.config)
    try:
        weights = load_file(directory / WEIGHTS)
        result = codec.load_state_dict(weights, strict=False)
    except (SafetensorError, RuntimeError) as error:
        raise PackageError(f"'{directory / WEIGHTS}' doesn't fit its codec.json: {error}") from None
    if result.unexpected_keys or set(result.missing_keys) != _training_only(codec):
        raise PackageError(f"'{directory / WEIGHTS}' doesn't fit its codec.json: other tensors than the codec has")
    codec.quantizer.reset_statistics()
    return LoadedPackage(package, codec.eval().to(device), _coder(package))


def _coder(package: Package) -> EntropyCoder | None:
    if not package.has_entropy:
        return None
    tables = load_tables(package.directory / ENTROPY)
    quantizer = package.config.quantizer
    if (tables.num_quantizers, tables.codebook_size) != (quantizer.num_quantizers, quantizer.codebook_size):
        raise PackageError(f"'{package.directory / ENTROPY}' doesn't fit its codec.json: other stages or codes")
    return EntropyCoder(tables)


def _weights(codec: Codec) -> dict[str, torch.Tensor]:
    left_out = _training_only(codec)
    return {k: v.detach().cpu().contiguous() for k, v in codec.state_dict().items() if k not in left_out}


def _halved(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    halved = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    for name, value in halved.items():
        if value.isinf().any() and not weights[name].isinf().any():
            raise PackageError(f"'{name}' has weights beyond half precision's 65504: keep single precision")
    return halved


def _training_only(codec: Codec) -> set[str]:
    return {f"quantizer.{name}" for name in codec.quantizer.training_only}
