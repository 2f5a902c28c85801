"""Import of a Hugging Face model directory as a package: JSON and safetensors are read, pickles never.

    config.json          names the kind of model (`model_type`) and its sizes
    model.safetensors    the weights

Where those are is this module's business; what they mean is the family's (codec/dac/hf.py, codec/seanet/hf.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from codec.dac.hf import import_dac
from codec.errors import PackageError
from codec.model import Codec
from codec.package import Package
from codec.seanet.hf import import_encodec
from codec.weights import write_package

# For each `model_type`, what builds a codec from the configuration and the tensors.
IMPORTERS: dict[str, Callable[[dict[str, Any], dict[str, Tensor]], Codec]] = {
    "dac": import_dac,
    "encodec": import_encodec,
}

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def import_hf(directory: Path, out: Path) -> Package:
    """Write the model of a Hugging Face directory to the package `out`; its metrics are empty, as nothing was measured.

    Raises:
        PackageError: It holds no model that can be imported, only pickled weights, or `out` exists already.
    """
    codec = read_hf(directory)
    with (directory / WEIGHTS).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    model_type = _read_config(directory)["model_type"]
    source = {"directory": directory.absolute().name, "model_type": model_type, "weights_sha256": digest}
    return write_package(out, codec, metrics={}, lineage={"imported_from": source})


def read_hf(directory: Path) -> Codec:
    """Build the codec of a Hugging Face directory, in evaluation mode.

    Raises:
        PackageError: It holds no model that can be imported, or only pickled weights.
    """
    config = _read_config(directory)
    model_type = config.get("model_type")
    if model_type not in IMPORTERS:
        known = ", ".join(IMPORTERS)
        raise PackageError(f"'{directory / CONFIG}' has model_type {model_type!r}; what can be imported is {known}")
    tensors = _read_tensors(directory)
    try:
        return IMPORTERS[model_type](config, tensors)
    except PackageError as error:
        raise PackageError(f"'{directory}' can't be imported: {error}") from None
    except KeyError as error:
        raise PackageError(f"'{directory / CONFIG}' lacks the key {error}") from None
    except (TypeError, ValueError) as error:
        raise PackageError(f"'{directory / CONFIG}' can't be imported: {error}") from None


def _read_config(directory: Path) -> dict[str, Any]:
    path = directory / CONFIG
    if not path.is_file():
        raise PackageError(f"'{directory}' is not a Hugging Face model directory: it has no {CONFIG}")
    try:
        config = json.loads(path.read_text())
    except ValueError:
        raise PackageError(f"'{path}' is not JSON") from None
    if not isinstance(config, dict):
        raise PackageError(f"'{path}' must hold a JSON object")
    return config


def _read_tensors(directory: Path) -> dict[str, Tensor]:
    path = directory / WEIGHTS
    if path.is_file():
        try:
            return load_file(path)
        except SafetensorError as error:
            raise PackageError(f"'{path}' is not a whole safetensors file: {error}") from None
    pickles = sorted(found.name for pattern in PICKLES for found in directory.glob(pattern))
    if pickles:
        raise PackageError(
            f"'{directory / pickles[0]}' is a pickle, which can run code when it is loaded: Nacre reads only {WEIGHTS},"
            " so convert it first where you trust it"
        )
    raise PackageError(f"'{directory}' has no {WEIGHTS}")
