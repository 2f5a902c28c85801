"""Snake activation (Ziyin et al. 2020, arXiv 2006.08195; as in DAC, arXiv 2306.06546, section 3.1).

Axes: hidden [B, W, T]; B items, W channels, T time.
"""

import torch
from torch import Tensor, nn

EPSILON = 1e-9


class Snake(nn.Module):
    """Add a learned ripple to the identity: x + sin(alpha x)^2 / alpha, with an alpha for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(width, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden [B, W, T] to [B, W, T]."""
        # In place: one signal of full size is allocated, not four.
        ripple = (self.alpha * hidden).sin_().square_()
        return ripple.mul_((self.alpha + EPSILON).reciprocal()).add_(hidden)
