"""The residual unit that encoder and decoder of the `dac` family share (arXiv 2306.06546, section 3; as SoundStream's).

Deviation: no weight norm, here as in the whole family; imported weights have theirs folded in.

Axes: hidden [B, W, T]; B items, W channels, T time.
"""

from torch import Tensor, nn

from codec.dac.snake import Snake

KERNEL_SIZE = 7


class ResidualUnit(nn.Module):
    """A dilated convolution over time, then a pointwise one, added to the input; its length stays."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        padding = (KERNEL_SIZE - 1) // 2 * dilation
        self.layers = nn.Sequential(
            Snake(width),
            nn.Conv1d(width, width, KERNEL_SIZE, dilation=dilation, padding=padding),
            Snake(width),
            nn.Conv1d(width, width, 1),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden [B, W, T] to [B, W, T]."""
        changed: Tensor = self.layers(hidden)
        return changed.add_(hidden)


def residual_units(width: int, dilations: tuple[int, ...]) -> list[nn.Module]:
    """Return a residual unit for each dilation."""
    return [ResidualUnit(width, dilation) for dilation in dilations]


def stride_padding(stride: int) -> int:
    """Return the padding of a convolution of kernel 2 * stride: N * stride samples give N frames.

    Transposed, N frames give N * stride samples, one fewer when the stride is odd.
    """
    return (stride + 1) // 2
