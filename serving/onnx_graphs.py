"""The graphs of a codec that are exported to ONNX: modules with tensors alone going in and out, and their names.

A stream's state, whatever a family keeps in it, is laid out as tensors and put together again: `state.NAME` goes in,
`next.NAME` comes out. What is no tensor in a state is fixed in the graph as it is once a first frame was coded. All
state begins as zeros, so what then comes out first is audio from before the first frame: `Graph.lead_samples` of it.

Axes: audio [B, C, T]; codes [B, K, L].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from codec.families import can_denoise
from codec.model import Codec
from codec.streaming import StreamingDecoder, StreamingModule
from serving.onnx_layers import in_onnx_words

# Of the example that a graph is traced with; any others than 0 and 1, which would be taken for fixed ones.
ITEMS, FRAMES = 2, 3


@dataclass(frozen=True, kw_only=True)
class Port:
    """An input or output: its `shape` has a word for each axis of any length."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A module to export with `example` inputs, one a port; outputs that stand for state follow the others.

    Of a stream's first audio, `lead_samples` lie before its beginning.
    """

    name: str
    module: nn.Module
    example: tuple[Tensor, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    lead_samples: int = 0


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


class EncoderStreamGraph(nn.Module):
    """Whole hops that follow a state to codes and the next state; `pattern` is any state."""

    def __init__(self, codec: Codec, pattern: Any) -> None:
        super().__init__()
        self.codec = codec
        self.pattern = pattern

    def forward(self, audio: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Map audio [B, C, L * hop] to codes [B, K, L] and the tensors of the next state."""
        latents, following = self.codec.encoder.extend(audio, put_together(self.pattern, state))
        codes = self.codec.quantizer.encode(latents, self.codec.config.quantizer.num_quantizers)
        return codes, *lay_out(following).values()


class DecoderStreamGraph(nn.Module):
    """Codes that follow a state to the audio that they make final, what would end it, and the next state."""

    def __init__(self, codec: Codec, pattern: Any) -> None:
        super().__init__()
        self.codec = codec
        self.pattern = pattern

    def forward(self, codes: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Map codes [B, K, L] to audio [B, C, L * hop], the rest [B, C, R], and the tensors of the next state."""
        quantized = self.codec.quantizer.decode(codes)
        audio, following = self.codec.decoder.extend(quantized, put_together(self.pattern, state))
        rest = self.codec.decoder.flush(following)
        return audio.clamp(-1, 1), rest.clamp(-1, 1), *lay_out(following).values()


@torch.no_grad()
def codec_graphs(codec: Codec) -> list[Graph]:
    """Return the graphs of a codec: `encoder` and `decoder`, and those of streams if it is causal."""
    exportable = in_onnx_words(codec)
    graphs = [_encoder(exportable), _decoder(exportable)]
    encoder: object = exportable.encoder
    decoder: object = exportable.decoder
    if isinstance(encoder, StreamingModule) and isinstance(decoder, StreamingDecoder):  # noqa: SIM102  # narrows first
        if encoder.can_stream and decoder.can_stream:
            graphs += [_encoder_stream(exportable, encoder), _decoder_stream(exportable, decoder)]
    return graphs


def lay_out(state: Any, name: str = "") -> dict[str, Tensor]:
    """Return the tensors of a state of dataclasses and tuples by name, such as `pasts.0`."""
    if isinstance(state, Tensor):
        return {name: state}
    tensors: dict[str, Tensor] = {}
    for key, part in _parts(state):
        tensors |= lay_out(part, f"{name}.{key}" if name else key)
    return tensors


def put_together(pattern: Any, tensors: tuple[Tensor, ...]) -> Any:
    """Return the state `pattern` with `tensors`, in the order of `lay_out`, instead of its own."""
    return _put_together(pattern, iter(tensors))


def _put_together(pattern: Any, tensors: Iterator[Tensor]) -> Any:
    if isinstance(pattern, Tensor):
        return next(tensors)
    parts = {key: _put_together(part, tensors) for key, part in _parts(pattern)}
    if dataclasses.is_dataclass(pattern) and not isinstance(pattern, type):
        return dataclasses.replace(pattern, **parts)
    return tuple(parts.values()) if isinstance(pattern, tuple) else pattern


def _parts(state: Any) -> list[tuple[str, Any]]:
    """Return what a dataclass or tuple holds; nothing of other values."""
    if dataclasses.is_dataclass(state):
        return [(field.name, getattr(state, field.name)) for field in dataclasses.fields(state)]
    return [(str(key), part) for key, part in enumerate(state)] if isinstance(state, tuple) else []


def _audio(codec: Codec, length: str) -> Port:
    return Port(name="audio", dtype="float32", shape=("batch", codec.config.channels, length))


def _codes(codec: Codec, stages: int | str) -> Port:
    return Port(name="codes", dtype="int64", shape=("batch", stages, "frames"))


def _example_audio(codec: Codec) -> Tensor:
    return torch.zeros(ITEMS, codec.config.channels, FRAMES * codec.config.hop_length)


def _example_codes(codec: Codec) -> Tensor:
    return torch.zeros(ITEMS, codec.config.quantizer.num_quantizers, FRAMES, dtype=torch.long)


def _encoder(codec: Codec) -> Graph:
    inputs, example = [_audio(codec, "samples")], [_example_audio(codec)[..., :-1]]
    if can_denoise(codec.config):
        inputs.append(Port(name="denoise", dtype="bool", shape=("batch",)))
        example.append(torch.zeros(ITEMS, dtype=torch.bool))
    return Graph(
        name="encoder",
        module=EncoderGraph(codec),
        example=tuple(example),
        inputs=tuple(inputs),
        outputs=(_codes(codec, codec.config.quantizer.num_quantizers),),
    )


def _decoder(codec: Codec) -> Graph:
    return Graph(
        name="decoder",
        module=DecoderGraph(codec),
        example=(_example_codes(codec),),
        inputs=(_codes(codec, "stages"),),
        outputs=(_audio(codec, "frames * hop_length"),),
    )


def _encoder_stream(codec: Codec, encoder: StreamingModule) -> Graph:
    audio = _example_audio(codec)
    _, state = encoder.extend(audio, encoder.start(ITEMS))
    return Graph(
        name="encoder_stream",
        module=EncoderStreamGraph(codec, state),
        example=(audio, *lay_out(state).values()),
        inputs=(_audio(codec, "frames * hop_length"), *_state_ports("state", encoder)),
        outputs=(_codes(codec, codec.config.quantizer.num_quantizers), *_state_ports("next", encoder)),
    )


def _decoder_stream(codec: Codec, decoder: StreamingDecoder) -> Graph:
    codes = _example_codes(codec)
    first, state = decoder.extend(codec.quantizer.decode(codes), decoder.start(ITEMS))
    rest = decoder.flush(state).shape[-1]
    return Graph(
        name="decoder_stream",
        module=DecoderStreamGraph(codec, state),
        example=(codes, *lay_out(state).values()),
        inputs=(_codes(codec, "stages"), *_state_ports("state", decoder)),
        outputs=(
            _audio(codec, "frames * hop_length"),
            Port(name="rest", dtype="float32", shape=("batch", codec.config.channels, rest)),
            *_state_ports("next", decoder),
        ),
        lead_samples=FRAMES * codec.config.hop_length - first.shape[-1],
    )


def _state_ports(prefix: str, module: StreamingModule) -> list[Port]:
    """Return a port for each tensor of a state; the axis that grows with the items is the batch's."""
    one, two = lay_out(module.start(1)), lay_out(module.start(2))
    assert not any(tensor.any() for tensor in two.values())
    ports = []
    for name, tensor in one.items():
        axes = zip(tensor.shape, two[name].shape, strict=True)
        shape = tuple(length if length == other else "batch" for length, other in axes)
        ports.append(Port(name=f"{prefix}.{name}", dtype=str(tensor.dtype).removeprefix("torch."), shape=shape))
    return ports
