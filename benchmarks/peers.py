"""The codecs that the speed benchmark compares: ours and the references of `transformers`, all with random weights.

Speed depends on shapes, not on weights. Each takes a batch of clips of its own sample rate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DacConfig, DacModel, EncodecConfig, EncodecModel, MimiConfig, MimiModel

from codec.config import CodecConfig
from codec.model import Codec
from codec.nacre.config import NacreConfig


@dataclass(frozen=True, kw_only=True)
class Peer:
    """`encode` and `decode` do one batch each; what decode decodes was encoded before."""

    encode: Callable[[], Any]
    decode: Callable[[], Any]


def nacre(batch: int, seconds: int) -> Peer:
    """Return our default codec: 16 kHz, 6 kbps."""
    codec = Codec(CodecConfig(name="benchmark", network=NacreConfig())).eval()
    audio = noise(batch, seconds, codec.config.sample_rate)
    codec.initialize_network(audio)
    codec.initialize_codebooks(audio)
    codes = codec.encode(audio)
    return Peer(encode=lambda: codec.encode(audio), decode=lambda: codec.decode(codes))


def encodec_24k(batch: int, seconds: int) -> Peer:
    """Return EnCodec at 24 kHz, 6 kbps."""
    model = EncodecModel(EncodecConfig()).eval()
    audio = noise(batch, seconds, 24_000)
    encoded = model.encode(audio, bandwidth=6.0)
    return Peer(
        encode=lambda: model.encode(audio, bandwidth=6.0),
        decode=lambda: model.decode(encoded.audio_codes, encoded.audio_scales),
    )


def mimi(batch: int, seconds: int) -> Peer:
    """Return Mimi at 24 kHz with 8 codebooks, 1.1 kbps."""
    model = MimiModel(MimiConfig()).eval()
    audio = noise(batch, seconds, 24_000)
    codes = model.encode(audio, num_quantizers=8).audio_codes
    return Peer(encode=lambda: model.encode(audio, num_quantizers=8), decode=lambda: model.decode(codes))


def dac_24k(batch: int, seconds: int) -> Peer:
    """Return DAC at 24 kHz with all of its 32 codebooks, 24 kbps."""
    model = DacModel(DacConfig(sampling_rate=24_000, n_codebooks=32)).eval()
    audio = noise(batch, seconds, 24_000)
    codes = model.encode(audio).audio_codes
    return Peer(encode=lambda: model.encode(audio), decode=lambda: model.decode(audio_codes=codes))


PEERS = {"nacre": nacre, "encodec24k": encodec_24k, "mimi": mimi, "dac24k": dac_24k}


def noise(batch: int, seconds: int, sample_rate: int) -> torch.Tensor:
    """Return audio [B, 1, T]."""
    return 0.1 * torch.randn(batch, 1, seconds * sample_rate)
