"""Encoder of the `dac` family: strided convolutions and residual units with Snake (arXiv 2306.06546, section 3).

Every convolution pads with zeros on both sides. The audio is first padded with zeros at its end to a whole number of
hops, as the reference's feature extractor does; then each stride divides the length exactly.

Axes: audio [B, C, T]; hidden [B, W, T']; latents [B, D, L].
"""

import torch.nn.functional as F
from torch import Tensor, nn

from codec.config import CodecConfig
from codec.dac.config import KERNEL_SIZE, LATENT_KERNEL_SIZE, DacConfig, stride_padding
from codec.dac.residual import residual_units
from codec.dac.snake import Snake
from codec.steady import SteadyConv1d


class DacEncoder(nn.Module):
    """Map audio to latents, one column a hop."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        network = config.network
        assert isinstance(network, DacConfig)
        self.hop_length = config.hop_length
        width = network.encoder_width
        layers: list[nn.Module] = [SteadyConv1d(config.channels, width, KERNEL_SIZE, padding=KERNEL_SIZE // 2)]
        for rate in network.encoder_rates:
            strided = SteadyConv1d(width, 2 * width, 2 * rate, stride=rate, padding=stride_padding(rate))
            block = [*residual_units(width, network.dilations), Snake(width), strided]
            layers.append(nn.Sequential(*block))
            width *= 2
        layers += [
            Snake(width),
            SteadyConv1d(width, config.latent_dim, LATENT_KERNEL_SIZE, padding=LATENT_KERNEL_SIZE // 2),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, audio: Tensor) -> Tensor:
        """Map audio [B, C, T] to latents [B, D, L]."""
        latents: Tensor = self.layers(F.pad(audio, (0, -audio.shape[-1] % self.hop_length)))
        return latents
