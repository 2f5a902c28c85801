"""The codecs that the speed benchmark compares: ours and the references of `transformers`, all with random weights.

Speed depends on shapes, not on weights. Each takes a batch of clips of its own sample rate. Beside EnCodec and DAC
stand our own, imported from the very same weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DacConfig, DacModel, EncodecConfig, EncodecModel, MimiConfig, MimiModel

from codec.config import CodecConfig
from codec.dac.hf import import_dac
from codec.model import Codec
from codec.nacre.config import NacreConfig
from codec.seanet.hf import import_encodec


@dataclass(frozen=True, kw_only=True)
class Peer:
    """`encode` and `decode` do one batch each; what decode decodes was encoded before."""

    encode: Callable[[], Any]
    decode: Callable[[], Any]


def nacre(batch: int, seconds: int) -> dict[str, Peer]:
    """Return our default codec: 16 kHz, 12 stages, 6 kbps."""
    codec = default_codec()
    audio = noise(batch, seconds, codec.config.sample_rate)
    return {"nacre": ours(codec, audio, codec.config.quantizer.num_quantizers)}


def encodec_24k(batch: int, seconds: int) -> dict[str, Peer]:
    """Return EnCodec at 24 kHz, 6 kbps, and our own."""
    model = EncodecModel(EncodecConfig()).eval()
    audio = noise(batch, seconds, 24_000)
    encoded = model.encode(audio, bandwidth=6.0)
    reference = Peer(
        encode=lambda: model.encode(audio, bandwidth=6.0),
        decode=lambda: model.decode(encoded.audio_codes, encoded.audio_scales),
    )
    return {"encodec24k": reference, "own_encodec": ours(own_encodec(model), audio, 8)}


def mimi(batch: int, seconds: int) -> dict[str, Peer]:
    """Return Mimi at 24 kHz with 8 codebooks, 1.1 kbps."""
    model = MimiModel(MimiConfig()).eval()
    audio = noise(batch, seconds, 24_000)
    codes = model.encode(audio, num_quantizers=8).audio_codes
    reference = Peer(encode=lambda: model.encode(audio, num_quantizers=8), decode=lambda: model.decode(codes))
    return {"mimi": reference}


def dac_24k(batch: int, seconds: int) -> dict[str, Peer]:
    """Return DAC at 24 kHz with all of its 32 codebooks, 24 kbps, and our own."""
    model = DacModel(DacConfig(sampling_rate=24_000, n_codebooks=32)).eval()
    audio = noise(batch, seconds, 24_000)
    codes = model.encode(audio).audio_codes
    reference = Peer(encode=lambda: model.encode(audio), decode=lambda: model.decode(audio_codes=codes))
    return {"dac24k": reference, "own_dac": ours(own_dac(model), audio, 32)}


def encodec_24k_streams(chunk_ms: int, seconds: int) -> dict[str, Peer]:
    """Return EnCodec at 24 kHz, 6 kbps, `own` as a stream of chunks, and the `reference` on each chunk by itself.

    The reference doesn't stream: chunk by chunk it forgets what came before, and what it gives is not the file's.
    """
    model = EncodecModel(EncodecConfig()).eval()
    codec, stages = own_encodec(model), 8
    audio = noise(1, seconds, codec.config.sample_rate)
    size = chunk_ms * codec.config.sample_rate // 1000
    chunks = [audio[..., start : start + size] for start in range(0, audio.shape[-1], size)]

    def encode() -> list[Tensor]:
        with codec.streaming(num_quantizers=stages) as stream:
            return [*(stream.encode(chunk) for chunk in chunks), stream.finish_encoding()]

    codes = encode()

    def decode() -> list[Tensor]:
        with codec.streaming(num_quantizers=stages) as stream:
            return [*(stream.decode(part) for part in codes), stream.finish_decoding()]

    reference = Peer(
        encode=lambda: [model.encode(chunk, bandwidth=6.0) for chunk in chunks],
        decode=lambda: [model.decode(part[None], [None]) for part in codes if part.shape[-1]],
    )
    return {"own": Peer(encode=encode, decode=decode), "reference": reference}


# What runs beside each other; each builder returns a reference, and our own where we have it.
PEERS = {"nacre": nacre, "encodec24k": encodec_24k, "mimi": mimi, "dac24k": dac_24k}
OWN = {"own_encodec": "encodec24k", "own_dac": "dac24k"}


def ours(codec: Codec, audio: Tensor, stages: int) -> Peer:
    """Return a codec of ours with so many stages."""
    codes = codec.encode(audio, num_quantizers=stages)
    return Peer(encode=lambda: codec.encode(audio, num_quantizers=stages), decode=lambda: codec.decode(codes))


def default_codec() -> Codec:
    """Return our default codec."""
    codec = Codec(CodecConfig(name="benchmark", network=NacreConfig())).eval()
    audio = noise(1, 10, codec.config.sample_rate)
    codec.initialize_network(audio)
    codec.initialize_codebooks(audio)
    return codec


def own_encodec(model: EncodecModel) -> Codec:
    """Return our own EnCodec with the weights of `model`."""
    return import_encodec(model.config.to_dict(), model.state_dict())


def own_dac(model: DacModel) -> Codec:
    """Return our own DAC with the weights of `model`."""
    return import_dac(model.config.to_dict(), model.state_dict())


def noise(batch: int, seconds: int, sample_rate: int) -> Tensor:
    """Return audio [B, 1, T]."""
    return 0.1 * torch.randn(batch, 1, seconds * sample_rate)
