"""Multi-band multi-resolution spectrogram discriminator: bands of a complex spectrum, each through its own layers.

Source: DAC (arXiv 2306.06546, section 3.3, and its released code): LeakyReLU of 0.1, audio centred and at equal peak,
one verdict over all bands of a resolution. Channels of stereo are heard apart. Our deviations: near silence is not
made louder than a thousandth of full scale allows, and frames are centred with torch's padding, not audiotools'.

Axes: audio [B, C, T]; features [B * C, W, L, F]; W channels, L frames, F frequency bins of the band.
"""

from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.discriminators.config import BandConfig
from training.discriminators.layers import at_equal_peak, channels_apart, complex_planes, conv2d

STRIDES = (1, 2, 2, 2)
activation = partial(F.leaky_relu, negative_slope=0.1)


class Bands(nn.Module):
    """Judge audio by the bands of its complex spectrum at one window length."""

    window: Tensor

    def __init__(self, window_length: int, edges: tuple[float, ...], width: int) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(window_length), persistent=False)
        bins = window_length // 2 + 1
        self.bands = [slice(int(low * bins), int(high * bins)) for low, high in pairwise(edges)]
        self.stacks = nn.ModuleList(self._stack(width) for _ in self.bands)
        self.verdict = conv2d(width, 1, (3, 3))

    def _stack(self, width: int) -> nn.ModuleList:
        inputs = (2, width, width, width)
        strided = [conv2d(i, width, (3, 9), stride=(1, step)) for i, step in zip(inputs, STRIDES, strict=True)]
        return nn.ModuleList([*strided, conv2d(width, width, (3, 3))])

    def forward(self, audio: Tensor) -> list[Tensor]:
        """Return the judgement of audio [B, C, T]: the features of band after band, then the logits of all."""
        planes = complex_planes(at_equal_peak(channels_apart(audio)), self.window)
        judgement, last = [], []
        for band, stack in zip(self.bands, self.stacks, strict=True):
            hidden = planes[..., band]
            for layer in stack.children():
                hidden = activation(layer(hidden))
                judgement.append(hidden)
            last.append(hidden)
        judgement.append(self.verdict(torch.cat(last, dim=-1)))
        return judgement


class BandDiscriminator(nn.Module):
    """One `Bands` per window length."""

    def __init__(self, config: BandConfig) -> None:
        super().__init__()
        self.minimum_samples = max(config.windows) // 2 + 1
        self.resolutions = nn.ModuleList(Bands(window, config.edges, config.width) for window in config.windows)

    def forward(self, audio: Tensor) -> list[list[Tensor]]:
        """Return one judgement of audio [B, C, T] per window length."""
        return [resolution(audio) for resolution in self.resolutions]
