"""The residual units of SEANet (SoundStream, arXiv 2107.03312, figure 3; EnCodec, arXiv 2210.13438, section 3.1).

Deviation from SoundStream's figure: activations come before convolutions, as in EnCodec.

Axes: hidden [B, C, T]; T samples at the unit's own rate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from codec.seanet.config import SeanetConfig
from codec.seanet.convolution import PaddedConv
from codec.seanet.sequence import extend_layers, start_layers


@dataclass(frozen=True, kw_only=True)
class UnitState:
    """The states of a unit's block, and the inputs [B, C, n] whose way through it isn't over."""

    block: tuple[Any, ...]
    waiting: Tensor


class ResidualUnit(nn.Module):
    """A dilated convolution and one of a single sample, added to a shortcut; activations may overwrite their input."""

    def __init__(self, config: SeanetConfig, width: int, dilation: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.width = width
        inner = width // config.compression
        self.block = nn.Sequential(
            activation(),
            PaddedConv(config, width, inner, config.residual_kernel_size, dilation=dilation),
            activation(),
            PaddedConv(config, inner, width, 1),
        )
        self.shortcut = PaddedConv(config, width, width, 1) if config.conv_shortcut else nn.Identity()

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden [B, C, T] to [B, C, T]."""
        activation, convolution, *rest = self.block
        changed: Tensor = convolution(hidden, activation)
        for layer in rest:
            changed = layer(changed)
        return changed.add_(self.shortcut(hidden))

    def start(self, batch_size: int) -> UnitState:
        """Return the state of a causal unit before anything came."""
        block = start_layers(self.block, batch_size)
        return UnitState(block=block, waiting=next(self.parameters()).new_zeros(batch_size, self.width, 0))

    def extend(self, hidden: Tensor, state: UnitState, *, last: bool) -> tuple[Tensor, UnitState]:
        """Map hidden [B, C, T] that follows `state` to the [B, C, T'] now final, and the next state."""
        waiting = torch.cat([state.waiting, hidden], dim=-1)
        changed, block = extend_layers(self.block, hidden, state.block, last=last)
        count = changed.shape[-1]
        if count:
            changed = changed.add_(self.shortcut(waiting[..., :count]))
        return changed, UnitState(block=block, waiting=waiting[..., count:])


def residual_units(config: SeanetConfig, width: int, activation: Callable[[], nn.Module]) -> list[nn.Module]:
    """Return the units of one rate, their dilations growing, with activations made by `activation`."""
    dilations = [config.dilation_growth**unit for unit in range(config.residual_units)]
    return [ResidualUnit(config, width, dilation, activation) for dilation in dilations]
