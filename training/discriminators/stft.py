"""Multi-scale STFT discriminator.

Source: EnCodec (arXiv 2210.13438, section 3.4) and its released code, which has kernels of 3 x 9 where the paper has
3 x 8: a convolution, three that dilate over time by 1, 2 and 4 and stride by two over frequency, one of 3 x 3, and the
verdict. Channels of stereo are heard apart, as published. Our deviations: weight norm on the first convolution too
(the paper's text; the code leaves it out), and frames are centred, so that audio may be shorter than a window.

Axes: audio [B, C, T]; features [B * C, W, L, F]; W channels, L frames, F frequency bins.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.discriminators.config import STFTConfig
from training.discriminators.layers import channels_apart, complex_planes, conv2d, judge

DILATIONS = (1, 2, 4)
KERNEL = (3, 9)
activation = partial(F.leaky_relu, negative_slope=0.2)


class STFTScale(nn.Module):
    """Judge audio by its complex spectrum at one window length."""

    window: Tensor

    def __init__(self, window_length: int, width: int) -> None:
        super().__init__()
        # Spectra of unit energy, whatever the window.
        window = torch.hann_window(window_length)
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)
        dilated = [conv2d(width, width, KERNEL, stride=(1, 2), dilation=(dilation, 1)) for dilation in DILATIONS]
        self.layers = nn.ModuleList([conv2d(2, width, KERNEL), *dilated, conv2d(width, width, (3, 3))])
        self.verdict = conv2d(width, 1, (3, 3))

    def forward(self, audio: Tensor) -> list[Tensor]:
        """Return the judgement of audio [B, C, T]."""
        return judge(complex_planes(channels_apart(audio), self.window), self.layers, self.verdict, activation)


class STFTDiscriminator(nn.Module):
    """One `STFTScale` per window length."""

    def __init__(self, config: STFTConfig) -> None:
        super().__init__()
        self.minimum_samples = max(config.windows) // 2 + 1
        self.scales = nn.ModuleList(STFTScale(window, config.width) for window in config.windows)

    def forward(self, audio: Tensor) -> list[list[Tensor]]:
        """Return one judgement of audio [B, C, T] per window length."""
        return [scale(audio) for scale in self.scales]
