"""The families: how each builds its encoder and decoder from a configuration, and what it starts training from.

What every family's modules keep to, whatever T is:

    encoder(audio [B, C, T])     -> latents [B, D, L], L = ceil(T / hop_length); it pads the end by its own rule
    decoder(quantized [B, D, L]) -> reconstruction [B, C, L * hop_length]

The encoder of a codec that can denoise takes, after the audio, which items [B] to denoise.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from codec.config import CodecConfig
from codec.dac.decoder import DacDecoder
from codec.dac.encoder import DacEncoder
from codec.nacre.decoder import Decoder
from codec.nacre.encoder import Encoder
from codec.nacre.gain_shape import fit_gain_shape
from codec.seanet.decoder import SeanetDecoder
from codec.seanet.encoder import SeanetEncoder


@dataclass(frozen=True)
class Family:
    """`encoder` and `decoder` build the modules; `start` sets what begins from real audio [B, C, T], if anything.

    `needs_rows` says that the encoder is made of matrix products, which need rows enough (codec/rows.py).
    """

    encoder: Callable[[CodecConfig], nn.Module]
    decoder: Callable[[CodecConfig], nn.Module]
    start: Callable[[nn.Module, nn.Module, Tensor], None]
    needs_rows: bool


def start_nacre(encoder: nn.Module, decoder: nn.Module, audio: Tensor) -> None:
    """Fit the transform codec to audio [B, C, T], and let the network start from it."""
    assert isinstance(encoder, Encoder)
    assert isinstance(decoder, Decoder)
    fitted = fit_gain_shape(encoder.analysis, encoder.frames(audio), encoder.shape.out_features)
    encoder.start_from(fitted)
    decoder.start_from(fitted)


def start_from_chance(encoder: nn.Module, decoder: nn.Module, audio: Tensor) -> None:
    """Leave the network as it was drawn: nothing of it begins from audio [B, C, T]."""


FAMILIES = {
    "nacre": Family(encoder=Encoder, decoder=Decoder, start=start_nacre, needs_rows=True),
    "dac": Family(encoder=DacEncoder, decoder=DacDecoder, start=start_from_chance, needs_rows=False),
    "seanet": Family(encoder=SeanetEncoder, decoder=SeanetDecoder, start=start_from_chance, needs_rows=False),
}
