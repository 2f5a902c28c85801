"""EnCodec as Hugging Face keeps it: `config.json` and `model.safetensors` to a codec with the same codes and audio.

Both spellings of weight norm are read and folded: `weight = g * v / |v|`, the norm taken over all axes but the first.

Axes: codebooks [K, V, D].
"""

from __future__ import annotations

import math
import re
from typing import Any, Literal

import torch
from torch import Tensor

from codec.config import CodecConfig, QuantizerConfig
from codec.errors import PackageError
from codec.model import Codec
from codec.seanet.config import SeanetConfig
from codec.segmentation import Segmentation

# A config.json may leave out what equals these.
DEFAULTS: dict[str, Any] = {
    "sampling_rate": 24_000,
    "audio_channels": 1,
    "normalize": False,
    "chunk_length_s": None,
    "overlap": None,
    "hidden_size": 128,
    "num_filters": 32,
    "num_residual_layers": 1,
    "upsampling_ratios": [8, 5, 4, 2],
    "norm_type": "weight_norm",
    "kernel_size": 7,
    "last_kernel_size": 7,
    "residual_kernel_size": 3,
    "dilation_growth_rate": 2,
    "use_causal_conv": True,
    "pad_mode": "reflect",
    "compress": 2,
    "num_lstm_layers": 2,
    "trim_right_ratio": 1.0,
    "codebook_size": 1024,
    "use_conv_shortcut": True,
}
NORMS: dict[str, Literal["none", "time_group"]] = {"weight_norm": "none", "time_group_norm": "time_group"}
CODEBOOK = re.compile(r"quantizer\.layers\.(\d+)\.codebook\.embed")
# Each pair is (magnitude, direction).
WEIGHT_NORMS = (("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1"))


def import_encodec(config: dict[str, Any], tensors: dict[str, Tensor]) -> Codec:
    """Build the codec of an EnCodec model's configuration and tensors, in evaluation mode.

    Raises:
        PackageError: The configuration asks for what the family can't do, or the tensors don't fit it.
    """
    try:
        folded = fold_weight_norm(tensors)
        found = _codebooks(folded)
        codec = Codec(_codec_config({**DEFAULTS, **config}, len(found)))
        weights = codec.state_dict()
        names = {_theirs(name, codec): name for name in weights if not name.startswith("quantizer.")}
        _check_names(set(names), {name for name in folded if name.startswith(("encoder.", "decoder."))})
        weights.update({name: folded[theirs].float() for theirs, name in names.items()})
        weights["quantizer.codebooks"] = torch.stack(found)
        codec.load_state_dict(weights)
    except (ValueError, TypeError, RuntimeError) as error:
        raise PackageError(f"not an EnCodec model that can be imported: {error}") from None
    codec.quantizer.initialized.fill_(True)
    codec.quantizer.reset_statistics()
    return codec.eval()


def fold_weight_norm(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with each pair of weight norm replaced by the one weight it stands for.

    Raises:
        ValueError: Half of a pair is missing.
    """
    folded = dict(tensors)
    for magnitude, direction in WEIGHT_NORMS:
        for name in [name for name in folded if name.endswith("." + direction)]:
            stem = name.removesuffix(direction)
            if stem + magnitude not in folded:
                raise ValueError(f"the tensors lack {stem}{magnitude}")
            v, g = folded.pop(name).float(), folded.pop(stem + magnitude).float()
            folded[f"{stem}weight"] = g * v / torch.linalg.vector_norm(v, dim=tuple(range(1, v.ndim)), keepdim=True)
    return folded


def _codebooks(tensors: dict[str, Tensor]) -> list[Tensor]:
    """Return each stage's codebook [V, D], in order."""
    found = {int(match[1]): name for name in tensors if (match := CODEBOOK.fullmatch(name))}
    if not found or sorted(found) != list(range(len(found))):
        raise ValueError("the tensors hold no quantizer.layers.0.codebook.embed and the next ones")
    return [tensors[found[stage]].float() for stage in range(len(found))]


def _check_names(wanted: set[str], given: set[str]) -> None:
    for names, fault in ((wanted - given, "lack"), (given - wanted, "hold, beyond the configuration,")):
        if names:
            raise ValueError(f"the tensors {fault} {len(names)} of the network's, such as {min(names)}")


def _codec_config(theirs: dict[str, Any], num_quantizers: int) -> CodecConfig:
    if theirs["trim_right_ratio"] != 1.0:
        raise ValueError(f"trim_right_ratio is {theirs['trim_right_ratio']!r}; only 1.0 is supported")
    if theirs["norm_type"] not in NORMS:
        raise ValueError(f"norm_type is {theirs['norm_type']!r}; known are {', '.join(NORMS)}")
    if theirs["last_kernel_size"] != theirs["kernel_size"]:
        raise ValueError("last_kernel_size differs from kernel_size")
    ratios = tuple(theirs["upsampling_ratios"])
    network = SeanetConfig(
        filters=theirs["num_filters"],
        ratios=ratios,
        kernel_size=theirs["kernel_size"],
        latent_kernel_size=theirs["last_kernel_size"],
        residual_units=theirs["num_residual_layers"],
        residual_kernel_size=theirs["residual_kernel_size"],
        dilation_growth=theirs["dilation_growth_rate"],
        compression=theirs["compress"],
        conv_shortcut=theirs["use_conv_shortcut"],
        lstm_layers=theirs["num_lstm_layers"],
        causal=theirs["use_causal_conv"],
        norm=NORMS[theirs["norm_type"]],
        padding=theirs["pad_mode"],
        segments=_segments(theirs),
    )
    return CodecConfig(
        name=f"encodec_{theirs['sampling_rate'] // 1000}k",
        family="seanet",
        sample_rate=theirs["sampling_rate"],
        channels=theirs["audio_channels"],
        hop_length=math.prod(ratios),
        latent_dim=theirs["hidden_size"],
        quantizer=QuantizerConfig(num_quantizers=num_quantizers, codebook_size=theirs["codebook_size"]),
        network=network,
    )


def _segments(theirs: dict[str, Any]) -> Segmentation | None:
    """Return the segments, which EnCodec has together with normalisation, or not at all."""
    seconds, overlap = theirs["chunk_length_s"], theirs["overlap"]
    if not theirs["normalize"] and seconds is None:
        return None
    if not theirs["normalize"] or seconds is None or overlap is None:
        raise ValueError(
            "normalize, chunk_length_s and overlap go together: one or two of them alone are not supported"
        )
    length = int(seconds * theirs["sampling_rate"])
    return Segmentation(length=length, overlap=length - max(1, int((1.0 - overlap) * length)))


def _theirs(name: str, codec: Codec) -> str:
    """Return what EnCodec calls our tensor `name`: its last convolution is one more layer, behind an activation."""
    part, inside, rest = name.split(".", 2)
    if inside == "layers":
        return name
    layers = getattr(codec, part).layers
    return f"{part}.layers.{len(layers) + 1}.{rest}"
