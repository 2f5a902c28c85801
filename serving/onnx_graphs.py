"""The graphs of a codec that are exported to ONNX: modules with tensors alone going in and out, and their ports.

A codec that codes in segments has graphs of one segment, with its scale beside the codes (codec/segments.py).

Axes: audio [B, C, T]; codes [B, K, L]; scale [B, 1].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from codec.config import CodecConfig
from codec.model import Codec
from codec.segments import loudness

# Of the example that a graph is traced with; any others than 0 and 1, which would be taken for fixed ones.
ITEMS, FRAMES = 2, 3
HOPS = "frames * hop_length"


@dataclass(frozen=True, kw_only=True)
class Port:
    """An input or output: its `shape` has a word for each axis of any length."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A module to export with `example` inputs, one a port; it takes at least `min_frames`."""

    name: str
    module: nn.Module
    example: tuple[Tensor, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    min_frames: int = 1


class EncoderGraph(nn.Module):
    """Audio to the codes of all stages."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, audio: Tensor, *denoise: Tensor) -> Tensor:
        """Map audio [B, C, T] to codes [B, K, L]; `denoise` [B], bool, if the codec can."""
        latents = self.codec.encoder(audio, *denoise)
        return self.codec.quantizer.encode(latents, self.codec.config.quantizer.num_quantizers)


class DecoderGraph(nn.Module):
    """Codes of the first stages, however many, to audio."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, codes: Tensor) -> Tensor:
        """Map codes [B, K, L] to audio [B, C, L * hop]."""
        return self.codec.decoder(self.codec.quantizer.decode(codes)).clamp(-1, 1)


class SegmentEncoderGraph(nn.Module):
    """A segment of audio to the codes of all stages, and its scale."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Map audio [B, C, T] to codes [B, K, L] and scale [B, 1]."""
        scale = loudness(audio)
        latents = self.codec.encoder(audio / scale)
        return self.codec.quantizer.encode(latents, self.codec.config.quantizer.num_quantizers), scale[:, 0]


class SegmentDecoderGraph(nn.Module):
    """A segment's codes of the first stages, however many, and its scale to audio."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, codes: Tensor, *scale: Tensor) -> Tensor:
        """Map codes [B, K, L] and scale [B, 1] to audio [B, C, L * hop]."""
        return (self.codec.decoder(self.codec.quantizer.decode(codes)) * scale[0][..., None]).clamp(-1, 1)


def whole_graphs(codec: Codec) -> list[Graph]:
    """Return the graphs for whole files, or whole segments, of a codec in ONNX's words: `encoder` and `decoder`."""
    config = codec.config
    segmented = config.segments is not None
    scale = (Port(name="scale", dtype="float32", shape=("batch", 1)),) if segmented else ()
    encoder = Graph(
        name="encoder",
        module=SegmentEncoderGraph(codec) if segmented else EncoderGraph(codec),
        example=(example_audio(config, ITEMS, FRAMES)[..., :-1], *example_conditions(config, ITEMS)),
        inputs=(audio_port(config, "samples"), *condition_ports(config)),
        outputs=(codes_port(config.quantizer.num_quantizers), *scale),
    )
    decoder = Graph(
        name="decoder",
        module=SegmentDecoderGraph(codec) if segmented else DecoderGraph(codec),
        example=(example_codes(config, ITEMS, FRAMES), *(torch.ones(ITEMS, 1) for _ in scale)),
        inputs=(codes_port("stages"), *scale),
        outputs=(audio_port(config, HOPS),),
    )
    return [encoder, decoder]


def condition_ports(config: CodecConfig) -> tuple[Port, ...]:
    """Return the ports of what the encoder takes besides audio: `denoise` [B], if it can."""
    return (Port(name="denoise", dtype="bool", shape=("batch",)),) if config.can_denoise else ()


def audio_port(config: CodecConfig, length: int | str, name: str = "audio") -> Port:
    """Return the port of audio [B, C, length]."""
    return Port(name=name, dtype="float32", shape=("batch", config.channels, length))


def codes_port(stages: int | str) -> Port:
    """Return the port of codes [B, stages, L]."""
    return Port(name="codes", dtype="int64", shape=("batch", stages, "frames"))


def example_audio(config: CodecConfig, items: int, frames: int) -> Tensor:
    """Return audio [B, C, L * hop] to trace with."""
    return torch.zeros(items, config.channels, frames * config.hop_length)


def example_codes(config: CodecConfig, items: int, frames: int) -> Tensor:
    """Return codes [B, K, L] to trace with."""
    return torch.zeros(items, config.quantizer.num_quantizers, frames, dtype=torch.long)


def example_conditions(config: CodecConfig, items: int) -> tuple[Tensor, ...]:
    """Return a value for each of `condition_ports` to trace with."""
    return tuple(torch.zeros(items, dtype=torch.bool) for _ in condition_ports(config))
