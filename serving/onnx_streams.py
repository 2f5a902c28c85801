"""The graphs of a stream: a causal codec's encoder and decoder piece by piece, their state going in and out as tensors.

A state, whatever a family keeps in it, is laid out as tensors and put together again: `state.NAME` goes in, `next.NAME`
comes out. How a stream begins is unlike how it goes on (padding, audio that isn't final yet), so either has a graph of
its own: the first takes no state; in the second what is no tensor in a state is fixed. The first one's piece is long
enough for every layer to have begun: padding by reflection waits for what it reflects (codec/streaming.py).

Axes: audio [B, C, T]; codes [B, K, L].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from codec.errors import CapabilityError
from codec.model import Codec
from codec.streaming import StreamingDecoder, StreamingEncoder
from serving.onnx_graphs import (
    FRAMES,
    HOPS,
    ITEMS,
    Graph,
    Port,
    audio_port,
    codes_port,
    condition_ports,
    example_audio,
    example_codes,
    example_conditions,
)

# A stream whose state still changes its form after so many frames can't be a graph.
MOST_FRAMES = 64


@dataclass(frozen=True, kw_only=True)
class Side:
    """What encoder and decoder differ in.

    `start` maps a number of items and the `conditions` [B] of each to the first state, `step` inputs and a state to
    outputs and the next state.
    """

    name: str
    start: Callable[..., Any]
    step: Callable[[Tensor, Any], tuple[tuple[Tensor, ...], Any]]
    example: Callable[[int, int], Tensor]
    takes: Port
    gives: Callable[[tuple[Tensor, ...]], tuple[Port, ...]]
    conditions: tuple[Port, ...] = ()
    example_conditions: Callable[[int], tuple[Tensor, ...]] = lambda items: ()

    def begin(self, items: int, frames: int) -> tuple[tuple[Tensor, ...], Any]:
        """Return the outputs and the state after a first piece."""
        return self.step(self.example(items, frames), self.start(items, *self.example_conditions(items)))


class StreamGraph(nn.Module):
    """One piece of a stream; without a `pattern` that the state which comes is like, it is the first."""

    def __init__(self, codec: Codec, side: Side, pattern: Any = None) -> None:
        super().__init__()
        self.codec = codec  # holds the weights
        self.side = side
        self.pattern = pattern

    def forward(self, inputs: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        """Map audio [B, C, L * hop] or codes [B, K, L] to the outputs and the tensors of the next state.

        `given` are the state's tensors, of the first piece the conditions.
        """
        first = self.pattern is None
        before = self.side.start(inputs.shape[0], *given) if first else put_together(self.pattern, given)
        outputs, following = self.side.step(inputs, before)
        return *outputs, *lay_out(following).values()


def stream_graphs(codec: Codec) -> list[Graph]:
    """Return the graphs of a codec in ONNX's words that code piece by piece; none if it can't stream.

    Raises:
        CapabilityError: Its state never takes a lasting form.
    """
    encoder: object = codec.encoder
    decoder: object = codec.decoder
    if not (isinstance(encoder, StreamingEncoder) and isinstance(decoder, StreamingDecoder)):
        return []
    if not (encoder.can_stream and decoder.can_stream):
        return []
    return [graph for side in (_encoder(codec, encoder), _decoder(codec, decoder)) for graph in _graphs(codec, side)]


def _encoder(codec: Codec, encoder: StreamingEncoder) -> Side:
    config = codec.config
    stages = config.quantizer.num_quantizers

    def step(audio: Tensor, state: Any) -> tuple[tuple[Tensor, ...], Any]:
        # Laid out in hops and back: a runtime refuses what is no whole number of them.
        hops = audio.unflatten(-1, (-1, config.hop_length))
        latents, following = encoder.extend(hops.flatten(-2), state)
        return (codec.quantizer.encode(latents, stages),), following

    return Side(
        name="encoder",
        start=encoder.start,
        step=step,
        example=lambda items, frames: example_audio(config, items, frames),
        takes=audio_port(config, HOPS),
        gives=lambda outputs: (codes_port(stages),),
        conditions=condition_ports(config),
        example_conditions=lambda items: example_conditions(config, items),
    )


def _decoder(codec: Codec, decoder: StreamingDecoder) -> Side:
    config = codec.config

    def step(codes: Tensor, state: Any) -> tuple[tuple[Tensor, ...], Any]:
        audio, following = decoder.extend(codec.quantizer.decode(codes), state)
        return (audio.clamp(-1, 1), decoder.flush(following).clamp(-1, 1)), following

    return Side(
        name="decoder",
        start=decoder.start,
        step=step,
        example=lambda items, frames: example_codes(config, items, frames),
        takes=codes_port("stages"),
        gives=lambda outputs: (audio_port(config, "samples"), audio_port(config, outputs[1].shape[-1], "rest")),
    )


def _graphs(codec: Codec, side: Side) -> Iterator[Graph]:
    frames = _lasting_after(codec, side)
    outputs, state = side.begin(ITEMS, frames)
    tensors = lay_out(state)
    # The axes that differ with the number of items are the batch's.
    shapes = {
        name: tuple("batch" if other != length else length for length, other in zip(two.shape, one.shape, strict=True))
        for (name, two), one in zip(tensors.items(), lay_out(side.begin(1, frames)[1]).values(), strict=True)
    }

    def ports(prefix: str) -> tuple[Port, ...]:
        types = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in tensors.items()}
        return tuple(Port(name=f"{prefix}.{name}", dtype=types[name], shape=shapes[name]) for name in tensors)

    gives = (*side.gives(outputs), *ports("next"))
    yield Graph(
        name=f"{side.name}_stream_start",
        module=StreamGraph(codec, side),
        example=(side.example(ITEMS, frames + FRAMES), *side.example_conditions(ITEMS)),
        inputs=(side.takes, *side.conditions),
        outputs=gives,
        min_frames=frames,
    )
    yield Graph(
        name=f"{side.name}_stream",
        module=StreamGraph(codec, side, state),
        example=(side.example(ITEMS, FRAMES), *tensors.values()),
        inputs=(side.takes, *ports("state")),
        outputs=gives,
    )


def _lasting_after(codec: Codec, side: Side) -> int:
    """Return after how many frames the state keeps its form."""
    for frames in range(1, MOST_FRAMES + 1):
        _, state = side.begin(1, frames)
        _, following = side.step(side.example(1, 1), state)
        if _form(state) == _form(following):
            return frames
    raise CapabilityError(f"'{codec.config.name}' can't be exported as a stream: its state grows with every frame")


def lay_out(state: Any, name: str = "") -> dict[str, Tensor]:
    """Return the tensors of a state of dataclasses and tuples by name, such as `pasts.0`."""
    if isinstance(state, Tensor):
        return {name: state}
    tensors: dict[str, Tensor] = {}
    for key, part in _parts(state):
        tensors |= lay_out(part, f"{name}.{key}" if name else key)
    return tensors


def put_together(pattern: Any, tensors: tuple[Any, ...]) -> Any:
    """Return the state `pattern` with `tensors`, in the order of `lay_out`, instead of its own."""
    return _put_together(pattern, iter(tensors))


def _put_together(pattern: Any, tensors: Iterator[Any]) -> Any:
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


def _form(state: Any) -> Any:
    """Return a state with shapes instead of tensors, to compare."""
    return put_together(state, tuple(tensor.shape for tensor in lay_out(state).values()))
