"""Feature-wise linear modulation by a condition of two values: encode plainly, or denoise.

Source: SoundStream (arXiv 2107.03312, section III, joint compression and enhancement), after FiLM (arXiv 1709.07871).
SoundStream conditions at the bottleneck, in the encoder or in the decoder. It is the encoder here: then no bits are
spent on noise, the bitstream itself is clean, and decoding asks nothing. The layer stands before the encoder's last
activation and convolution, so that its scale and shift can close a channel, not only change the latents' coordinates.

Axes: hidden [B, C, L]; condition [B].
"""

import torch
from torch import Tensor, nn


class FiLM(nn.Module):
    """A scale and a shift for each channel, looked up by the condition; both begin as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(2, 2 * width)
        with torch.no_grad():
            self.table.weight[:, :width] = 1
            self.table.weight[:, width:] = 0

    def forward(self, hidden: Tensor, condition: Tensor) -> Tensor:
        """Map hidden [B, C, L] to [B, C, L] by the condition [B], true or false for each item."""
        scale, shift = self.table(condition.long())[..., None].chunk(2, dim=1)
        return scale * hidden + shift
