"""What a configuration costs and gives: parameters, multiply-adds, rates and latency, without a weight being drawn.

The codec is built of torch's fake tensors, shapes without data, and one second of audio is sent through it under
torch's counter; through one that codes in segments a segment, which counts as often as a second holds its stride. The
counter sees matrix products and convolutions; activations, norms, Fourier transforms and look-ups are left
out, as in published figures. (Fake tensors rather than the meta device, which knows no autocast.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from codec.config import CodecConfig
from codec.model import Codec
from codec.quantizer import ResidualVectorQuantizer
from codec.segmentation import Segmentation


@dataclass(frozen=True, kw_only=True)
class PartDescription:
    """One part: its `parameters` (the quantizer's are its codebooks), `multiply_adds` per second of audio."""

    parameters: int
    multiply_adds: int


@dataclass(frozen=True, kw_only=True)
class Description:
    """A codec in numbers; `quantizer.multiply_adds` are those of encoding with every stage.

    `latency_ms` is the algorithmic latency, None for a codec that doesn't stream.
    """

    encoder: PartDescription
    quantizer: PartDescription
    decoder: PartDescription
    frame_rate: float
    bitrates_kbps: tuple[float, ...]
    latency_ms: float | None


def describe_codec(config: CodecConfig) -> Description:
    """Measure the codec of `config` on one second of audio."""
    stages = config.quantizer.num_quantizers
    piece = config.segments or Segmentation(length=config.sample_rate, overlap=0)
    pieces = config.sample_rate / piece.stride
    with FakeTensorMode(), torch.no_grad():
        codec = Codec(config).eval()
        audio = torch.empty(1, config.channels, piece.length)
        latents = torch.empty(1, config.latent_dim, -(-piece.length // config.hop_length))
        return Description(
            encoder=_part(_parameters(codec.encoder), codec.encoder, audio, pieces),
            quantizer=_part(
                _parameters(codec.quantizer),
                lambda inputs: codec.quantizer.encode(inputs, stages),
                latents,
                pieces,
            ),
            decoder=_part(_parameters(codec.decoder), codec.decoder, latents, pieces),
            frame_rate=config.frame_rate,
            bitrates_kbps=config.bitrates_kbps,
            latency_ms=config.latency_ms,
        )


def _parameters(module: nn.Module) -> int:
    learned = sum(parameter.numel() for parameter in module.parameters())
    # Moving averages learn these codebooks, not gradients, so they are a buffer.
    return learned + (module.codebooks.numel() if isinstance(module, ResidualVectorQuantizer) else 0)


def _part(parameters: int, run: Callable[[Tensor], Tensor], inputs: Tensor, pieces: float) -> PartDescription:
    # The counter knows an LSTM only where it is taken apart into matrix products; on a CPU it is one operation.
    lstm = {torch.ops.aten.mkldnn_rnn_layer: _lstm_flops}
    with FlopCounterMode(display=False, custom_mapping=lstm) as counter:
        run(inputs)
    return PartDescription(parameters=parameters, multiply_adds=round(pieces * (counter.get_total_flops() // 2)))


def _lstm_flops(steps: Any, of_input: Any, of_hidden: Any, *_: Any, **__: Any) -> int:
    """Count one LSTM layer by its shapes: inputs [L, B, C] and the two weight matrices."""
    return 2 * steps[0] * steps[1] * (prod(of_input) + prod(of_hidden))
