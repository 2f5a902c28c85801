"""ConvNeXt block on sequences (Liu et al. 2022, arXiv 2201.03545; in 1-D as in Vocos, arXiv 2306.00814).

Deviation: channels last throughout, so that both dense layers are plain matrix products.

Axes: hidden [B, L, W]; B items, L frames, W width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYER_SCALE = 0.1


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution over time, then a two-layer perceptron, added to the input."""

    def __init__(self, width: int, kernel_size: int, expansion: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel_size, groups=width, padding=kernel_size // 2)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.expand = nn.Linear(width, expansion * width)
        self.project = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), LAYER_SCALE))

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden [B, L, W] to [B, L, W]."""
        mixed = self.depthwise(hidden.transpose(1, 2)).transpose(1, 2)
        mixed = F.gelu(self.expand(self.norm(mixed)), approximate="tanh")
        return hidden + self.scale * self.project(mixed)
