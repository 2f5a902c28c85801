"""Multi-period discriminator: audio folded into rows of P samples, and convolutions down its columns.

Source: HiFi-GAN (arXiv 2010.05646, section 2.3) as DAC's released code has it (arXiv 2306.06546): LeakyReLU of 0.1,
audio centred and at equal peak. Channels of stereo are heard apart. Our deviations: near silence is not made louder
than a thousandth of full scale allows, and audio that already is a whole number of rows isn't padded by one.

Axes: audio [B, C, T]; features [B * C, W, R, P]; W channels, R rows, P the period.
"""

from functools import partial
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from training.discriminators.config import PeriodConfig
from training.discriminators.layers import at_equal_peak, channels_apart, conv2d, judge

# Channels of each layer, as multiples of the width.
WIDTHS = (1, 4, 16, 32, 32)
STRIDES = (3, 3, 3, 3, 1)
activation = partial(F.leaky_relu, negative_slope=0.1)


class Period(nn.Module):
    """Judge audio by every P-th sample."""

    def __init__(self, period: int, width: int) -> None:
        super().__init__()
        self.period = period
        channels = (1, *(width * multiple for multiple in WIDTHS))
        self.layers = nn.ModuleList(
            conv2d(inputs, outputs, (5, 1), stride=(stride, 1))
            for (inputs, outputs), stride in zip(pairwise(channels), STRIDES, strict=True)
        )
        self.verdict = conv2d(channels[-1], 1, (3, 1))

    def forward(self, audio: Tensor) -> list[Tensor]:
        """Return the judgement of audio [B, C, T]."""
        mono = at_equal_peak(channels_apart(audio))
        padded = F.pad(mono, (0, -mono.shape[-1] % self.period), mode="reflect")
        rows = padded.reshape(len(padded), 1, -1, self.period)
        return judge(rows, self.layers, self.verdict, activation)


class PeriodDiscriminator(nn.Module):
    """One `Period` per period."""

    def __init__(self, config: PeriodConfig) -> None:
        super().__init__()
        self.minimum_samples = max(config.periods)
        self.periods = nn.ModuleList(Period(period, config.width) for period in config.periods)

    def forward(self, audio: Tensor) -> list[list[Tensor]]:
        """Return one judgement of audio [B, C, T] per period."""
        return [period(audio) for period in self.periods]
