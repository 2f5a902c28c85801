"""Convolutions that pad and trim by themselves, so that strides alone decide lengths.

Source: EnCodec (arXiv 2210.13438, section 3.1), whose padding rules these are, so that its weights give its codes:
a convolution's context, kernel minus stride, lies all before the sample when causal and is split otherwise, the odd
one before; a length that is no multiple of the stride is padded at the end up to one. Deviations:
 - no weight norm: imported weights come folded into plain ones, and training from scratch works without;
 - of a causal transposed convolution the whole surplus is trimmed at the end (EnCodec's ratio of 1, the only one used).

Axes: hidden [B, C, T]; B items, C channels, T samples at the layer's own rate.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from codec.seanet.config import SeanetConfig


class PaddedConv(nn.Module):
    """Convolution of [B, C, T] to [B, C', ceil(T / stride)], then the network's norm."""

    def __init__(
        self, config: SeanetConfig, inputs: int, outputs: int, kernel_size: int, *, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.stride = stride
        self.padding = config.padding
        context = (kernel_size - 1) * dilation + 1 - stride
        self.after = 0 if config.causal else context // 2
        self.before = context - self.after
        self.conv = nn.Conv1d(inputs, outputs, kernel_size, stride=stride, dilation=dilation)
        self.norm = _norm(config, outputs)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden [B, C, T] to [B, C', ceil(T / stride)]."""
        rest = -hidden.shape[-1] % self.stride
        return self.norm(self.conv(pad(hidden, self.before, self.after + rest, self.padding)))


class TrimmedConvTranspose(nn.Module):
    """Transposed convolution, two strides long, of [B, C, T] to [B, C', T * stride], with the network's norm."""

    def __init__(self, config: SeanetConfig, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        surplus = stride
        self.after = surplus if config.causal else surplus // 2
        self.before = surplus - self.after
        self.conv = nn.ConvTranspose1d(inputs, outputs, 2 * stride, stride=stride)
        self.norm = _norm(config, outputs)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden [B, C, T] to [B, C', T * stride]."""
        full = self.norm(self.conv(hidden))
        return full[..., self.before : full.shape[-1] - self.after]


def pad(hidden: Tensor, before: int, after: int, mode: str) -> Tensor:
    """Pad hidden [B, C, T] in time; where it is too short to reflect, zeros behind it are reflected with it."""
    if not (before or after):
        return hidden
    missing = max(before, after) - hidden.shape[-1] + 1
    if mode != "reflect" or missing <= 0:
        return F.pad(hidden, (before, after), mode)
    return F.pad(F.pad(hidden, (0, missing)), (before, after), mode)[..., :-missing]


def _norm(config: SeanetConfig, channels: int) -> nn.Module:
    return nn.GroupNorm(1, channels) if config.norm == "time_group" else nn.Identity()
