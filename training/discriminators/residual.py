"""STFT discriminator of residual units, which judges each frame.

Source: SoundStream (arXiv 2107.03312, section III.D and figure 5): a convolution of 7 x 7, six residual units that
stride by two over frequency, every second one over time too, while channels grow to eight times the width, and a
verdict over all frequencies that are left. Channels of stereo are heard apart. Our deviations: real and imaginary parts
are two planes of real convolutions with weight norm and no other normalisation.

Axes: audio [B, C, T]; features [B * C, W, L, F]; W channels, L frames, F frequency bins.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.discriminators.config import ResidualConfig
from training.discriminators.layers import channels_apart, complex_planes, conv2d, judge

# Channels that each unit ends with, as multiples of the width, and its strides over time and frequency.
WIDTHS = (1, 2, 4, 4, 8, 8)
STRIDES = ((1, 2), (2, 2)) * 3
activation = partial(F.elu, alpha=1.0)


class ResidualUnit(nn.Module):
    """Two convolutions, the second strided, beside a strided shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.first = conv2d(inputs, inputs, (3, 3))
        self.stride = stride
        self.second = conv2d(inputs, outputs, (stride[0] + 2, stride[1] + 2), stride=stride)
        self.shortcut = conv2d(inputs, outputs, (1, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        """Map [N, W, L, F] to [N, W', L / s, F / 2]."""
        time, frequency = self.stride
        whole = F.pad(hidden, (0, -hidden.shape[-1] % frequency, 0, -hidden.shape[-2] % time))
        # Strided by hand: oneDNN's strided 1 x 1 convolution writes beyond its memory in the backward pass.
        short: Tensor = self.shortcut(whole[..., ::time, ::frequency])
        deep: Tensor = self.second(activation(self.first(whole)))
        return short + deep


class ResidualDiscriminator(nn.Module):
    """Judge audio by its complex spectrum at one window length."""

    window: Tensor

    def __init__(self, config: ResidualConfig) -> None:
        super().__init__()
        self.minimum_samples = config.window // 2 + 1
        self.register_buffer("window", torch.hann_window(config.window), persistent=False)
        widths = (config.width, *(config.width * multiple for multiple in WIDTHS))
        units = [ResidualUnit(i, o, s) for i, o, s in zip(widths[:-1], widths[1:], STRIDES, strict=True)]
        self.layers = nn.ModuleList([conv2d(2, config.width, (7, 7)), *units])
        self.verdict = conv2d(widths[-1], 1, (1, config.window // 2 // 2 ** len(units)), padding=0)

    def forward(self, audio: Tensor) -> list[list[Tensor]]:
        """Return the one judgement of audio [B, C, T]."""
        # The highest bin is left out: what is left halves six times.
        planes = complex_planes(channels_apart(audio), self.window)[..., :-1]
        return [judge(planes, self.layers, self.verdict, activation)]
