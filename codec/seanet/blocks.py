"""The residual units of SEANet (SoundStream, arXiv 2107.03312, figure 3; EnCodec, arXiv 2210.13438, section 3.1).

Deviation from SoundStream's figure: activations come before convolutions, as in EnCodec.

Axes: hidden [B, C, T]; T samples at the unit's own rate.
"""

from torch import Tensor, nn

from codec.seanet.config import SeanetConfig
from codec.seanet.convolution import PaddedConv


class ResidualUnit(nn.Module):
    """A dilated convolution and one of a single sample, added to a shortcut."""

    def __init__(self, config: SeanetConfig, width: int, dilation: int) -> None:
        super().__init__()
        inner = width // config.compression
        self.block = nn.Sequential(
            nn.ELU(),
            PaddedConv(config, width, inner, config.residual_kernel_size, dilation=dilation),
            nn.ELU(),
            PaddedConv(config, inner, width, 1),
        )
        self.shortcut = PaddedConv(config, width, width, 1) if config.conv_shortcut else nn.Identity()

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden [B, C, T] to [B, C, T]."""
        changed: Tensor = self.block(hidden)
        return changed.add_(self.shortcut(hidden))


def residual_units(config: SeanetConfig, width: int) -> list[nn.Module]:
    """Return the units of one rate, their dilations growing."""
    return [ResidualUnit(config, width, config.dilation_growth**unit) for unit in range(config.residual_units)]
