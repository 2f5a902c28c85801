"""Layers in a row that go on where they stopped, each by its own kind of state.

At the end of a file each layer pads by its own rule, so the end travels through them with what is left in each.

Axes: hidden [B, C, T]; T samples at a layer's own rate.
"""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class StreamingLayer(Protocol):
    """A causal layer with a memory; layers without `extend` map each sample by itself."""

    def start(self, batch_size: int) -> Any:
        """Return the state before anything came."""

    def extend(self, hidden: Tensor, state: Any, *, last: bool) -> tuple[Tensor, Any]:
        """Map hidden [B, C, T], T may be 0, to what is now final, and the next state; `last` if nothing follows."""


def start_layers(layers: nn.Sequential, batch_size: int) -> tuple[Any, ...]:
    """Return each layer's state before anything came."""
    return tuple(layer.start(batch_size) if isinstance(layer, StreamingLayer) else None for layer in layers)


def extend_layers(
    layers: nn.Sequential, hidden: Tensor, states: tuple[Any, ...], *, last: bool
) -> tuple[Tensor, tuple[Any, ...]]:
    """Map hidden [B, C, T] through layers that go on from `states`; also return their next ones."""
    following = []
    for layer, state in zip(layers, states, strict=True):
        if isinstance(layer, StreamingLayer):
            hidden, kept = layer.extend(hidden, state, last=last)
            following.append(kept)
        else:
            hidden = layer(hidden)
            following.append(None)
    return hidden, tuple(following)
