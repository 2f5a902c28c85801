"""What a network's layers say of its reach, so that audio can be coded in chunks.

A stretch of a layer's outputs depends on a stretch of its inputs. From one hop of the last layer's output back to the
first layer's input, those stretches are the receptive field, exactly, at odd strides too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Context:
    """Frames that reach a frame from before it and from after it."""

    left: int
    right: int


@dataclass(frozen=True, kw_only=True)
class Reach:
    """A stretch of samples, `first` to `last`, relative to a hop that begins at 0; both belong to it."""

    first: int
    last: int

    def around(self, hop_length: int) -> Context:
        """Return the hops before and after hop 0 that the stretch touches."""
        return Context(left=-(self.first // hop_length), right=self.last // hop_length)


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """A convolution whose output t sees `span` inputs, the first of them `before` samples ahead of t * stride."""

    span: int
    before: int
    stride: int = 1

    def inputs(self, outputs: Reach) -> Reach:
        """Return what `outputs` depend on."""
        first = outputs.first * self.stride - self.before
        return Reach(first=first, last=outputs.last * self.stride - self.before + self.span - 1)


@dataclass(frozen=True, kw_only=True)
class Transposed:
    """A transposed convolution: input t adds to `2 * stride` outputs, the first `before` ahead of t * stride."""

    before: int
    stride: int

    def inputs(self, outputs: Reach) -> Reach:
        """Return what `outputs` depend on."""
        first = -((2 * self.stride - 1 - self.before - outputs.first) // self.stride)
        return Reach(first=first, last=(outputs.last + self.before) // self.stride)


def inputs_of(layers: Iterable[Convolution | Transposed], outputs: Reach) -> Reach:
    """Return the inputs of the first layer that `outputs` of the last one depend on."""
    for layer in reversed(list(layers)):
        outputs = layer.inputs(outputs)
    return outputs
