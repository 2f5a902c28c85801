"""The residual unit that encoder and decoder of the `dac` family share (arXiv 2306.06546, section 3; as SoundStream's).

Deviation: no weight norm, here as in the whole family; imported weights have theirs folded in.

Axes: hidden [B, W, T]; B items, W channels, T time.
"""

from torch import Tensor, nn

from codec.dac.config import KERNEL_SIZE
from codec.dac.snake import Snake
from codec.steady import SteadyConv1d


class ResidualUnit(nn.Module):
    """A dilated convolution over time, then a pointwise one, added to the input; its length stays."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        padding = (KERNEL_SIZE - 1) // 2 * dilation
        self.layers = nn.Sequential(
            Snake(width),
            SteadyConv1d(width, width, KERNEL_SIZE, dilation=dilation, padding=padding),
            Snake(width),
            SteadyConv1d(width, width, 1),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden [B, W, T] to [B, W, T]."""
        changed: Tensor = self.layers(hidden)
        return changed.add_(hidden)


def residual_units(width: int, dilations: tuple[int, ...]) -> list[nn.Module]:
    """Return a residual unit for each dilation."""
    return [ResidualUnit(width, dilation) for dilation in dilations]
