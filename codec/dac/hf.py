"""Import of `transformers`' DacModel: its configuration and tensors as a codec of the `dac` family.

Its layers are numbered here where the reference names them, its projections are 1x1 convolutions where ours are linear,
and weight norm, if the tensors still have it, is folded in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from codec.config import CodecConfig, QuantizerConfig
from codec.dac.config import DacConfig
from codec.hf_tensors import fold_weight_norm, load_tensors
from codec.model import Codec

_UNITS = ("res_unit1", "res_unit2", "res_unit3")
_UNIT_LAYERS = ("snake1", "conv1", "snake2", "conv2")


def import_dac(config: dict[str, Any], tensors: dict[str, Tensor]) -> Codec:
    """Build a codec from the `config.json` and the tensors of a DacModel, in evaluation mode.

    Raises:
        KeyError: The configuration lacks a key.
        TypeError: A value of the configuration has the wrong type.
        ValueError: A value is out of range.
        PackageError: The tensors are not those of this configuration.
    """
    codec = Codec(dac_config(config))
    names = dict(_names(codec.config))
    imported = {names.get(name, name): value for name, value in fold_weight_norm(tensors).items()}
    imported = {name: _reshape(name, value) for name, value in imported.items()}
    left = ("initialized", *codec.quantizer.training_only)
    load_tensors(codec, imported, leave=tuple(f"quantizer.{name}" for name in left))
    codec.quantizer.reset_statistics()
    codec.quantizer.initialized.fill_(True)
    return codec.eval()


def dac_config(config: dict[str, Any]) -> CodecConfig:
    """Return the codec configuration of a DacModel's `config.json`."""
    rates = tuple(int(rate) for rate in config["downsampling_ratios"])
    rate, width = int(config["sampling_rate"]), int(config["encoder_hidden_size"])
    return CodecConfig(
        name=f"dac_{rate // 1000}k",
        family="dac",
        sample_rate=rate,
        channels=1,
        hop_length=math.prod(rates),
        latent_dim=width * 2 ** len(rates),
        quantizer=QuantizerConfig(
            kind="factorized",
            num_quantizers=int(config["n_codebooks"]),
            codebook_size=int(config["codebook_size"]),
            codebook_dim=int(config["codebook_dim"]),
        ),
        network=DacConfig(
            encoder_width=width,
            encoder_rates=rates,
            decoder_width=int(config["decoder_hidden_size"]),
            decoder_rates=rates[::-1],
        ),
    )


def _names(config: CodecConfig) -> Iterator[tuple[str, str]]:
    """Yield the reference's name and ours of every tensor."""
    for theirs, ours in _modules(config):
        kinds = ("alpha",) if "snake" in theirs else ("weight", "bias")
        for kind in kinds:
            yield f"{theirs}.{kind}", f"{ours}.{kind}"
    for stage in range(config.quantizer.num_quantizers):
        theirs, ours = f"quantizer.quantizers.{stage}", f"quantizer.stages.{stage}"
        yield f"{theirs}.codebook.weight", f"{ours}.codebook"
        for projection in ("in_proj", "out_proj"):
            for kind in ("weight", "bias"):
                yield f"{theirs}.{projection}.{kind}", f"{ours}.{projection}.{kind}"


def _modules(config: CodecConfig) -> Iterator[tuple[str, str]]:
    """Yield the reference's name and ours of every convolution and activation of encoder and decoder."""
    network = config.network
    assert isinstance(network, DacConfig)
    blocks = {
        "encoder": (len(network.encoder_rates), (*_UNITS, "snake1", "conv1")),
        "decoder": (len(network.decoder_rates), ("snake1", "conv_t1", *_UNITS)),
    }
    for part, (count, layers) in blocks.items():
        yield f"{part}.conv1", f"{part}.layers.0"
        yield f"{part}.snake1", f"{part}.layers.{count + 1}"
        yield f"{part}.conv2", f"{part}.layers.{count + 2}"
        for block in range(count):
            for number, layer in enumerate(layers):
                theirs, ours = f"{part}.block.{block}.{layer}", f"{part}.layers.{block + 1}.{number}"
                if layer not in _UNITS:
                    yield theirs, ours
                    continue
                for inner, unit_layer in enumerate(_UNIT_LAYERS):
                    yield f"{theirs}.{unit_layer}", f"{ours}.layers.{inner}"


def _reshape(name: str, value: Tensor) -> Tensor:
    """Drop the axes of length 1 that the reference has and we don't: Snake's items, the projections' kernels."""
    if name.endswith(".alpha") and value.ndim == 3:
        return value[0]
    if "_proj." in name and value.ndim == 3:
        return value[..., 0]
    return value
