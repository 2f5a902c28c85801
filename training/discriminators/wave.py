"""Multi-scale discriminator of waveforms.

Source: MelGAN (arXiv 1910.06711) as SoundStream uses it (arXiv 2107.03312, section III.D): a convolution, four grouped
ones (four inputs a group) that stride by four and widen fourfold up to 1024 channels, a convolution, and the verdict;
the same at the audio's rate and downsampled twice and four times by averaging. Channels of stereo are heard apart.

Axes: audio [B, C, T]; features [B * C, W, L]; W channels, L steps.
"""

from functools import partial
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from training.discriminators.config import WaveConfig
from training.discriminators.layers import channels_apart, conv1d, judge

# Channels of the grouped layers, as multiples of the width.
WIDTHS = (1, 4, 16, 64, 64)
GROUP = 4
activation = partial(F.leaky_relu, negative_slope=0.2)


class WaveScale(nn.Module):
    """Judge audio at one rate."""

    def __init__(self, rate: int, width: int) -> None:
        super().__init__()
        self.rate = rate
        channels = tuple(width * multiple for multiple in WIDTHS)
        grouped = [
            conv1d(inputs, outputs, 41, stride=4, groups=max(1, inputs // GROUP))
            for inputs, outputs in pairwise(channels)
        ]
        self.layers = nn.ModuleList([conv1d(1, width, 15), *grouped, conv1d(channels[-1], channels[-1], 5)])
        self.verdict = conv1d(channels[-1], 1, 3)

    def forward(self, audio: Tensor) -> list[Tensor]:
        """Return the judgement of audio [B, C, T]."""
        mono = F.avg_pool1d(channels_apart(audio), self.rate)
        return judge(mono, self.layers, self.verdict, activation)


class WaveDiscriminator(nn.Module):
    """One `WaveScale` per rate."""

    def __init__(self, config: WaveConfig) -> None:
        super().__init__()
        self.minimum_samples = max(config.rates)
        self.scales = nn.ModuleList(WaveScale(rate, config.width) for rate in config.rates)

    def forward(self, audio: Tensor) -> list[list[Tensor]]:
        """Return one judgement of audio [B, C, T] per rate."""
        return [scale(audio) for scale in self.scales]
