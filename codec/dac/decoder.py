"""Decoder of the `dac` family: the encoder's mirror image, with transposed convolutions and a tanh (arXiv 2306.06546).

The reference loses samples at odd strides: strides of 8, 5, 4, 2 give 8 samples fewer than L hops. We give what it
gives, to the sample, and hold its last value to the end of the last hop.

Axes: quantized [B, D, L]; hidden [B, W, T']; reconstruction [B, C, L * hop].
"""

import torch.nn.functional as F
from torch import Tensor, nn

from codec.config import CodecConfig
from codec.dac.config import KERNEL_SIZE, DacConfig, stride_padding
from codec.dac.residual import residual_units
from codec.dac.snake import Snake
from codec.steady import SteadyConv1d


class DacDecoder(nn.Module):
    """Map latents to audio."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        network = config.network
        assert isinstance(network, DacConfig)
        self.hop_length = config.hop_length
        width = network.decoder_width
        layers: list[nn.Module] = [SteadyConv1d(config.latent_dim, width, KERNEL_SIZE, padding=KERNEL_SIZE // 2)]
        for rate in network.decoder_rates:
            strided = nn.ConvTranspose1d(width, width // 2, 2 * rate, stride=rate, padding=stride_padding(rate))
            block = [Snake(width), strided, *residual_units(width // 2, network.dilations)]
            layers.append(nn.Sequential(*block))
            width //= 2
        layers += [Snake(width), SteadyConv1d(width, config.channels, KERNEL_SIZE, padding=KERNEL_SIZE // 2), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, quantized: Tensor) -> Tensor:
        """Map quantized [B, D, L] to a reconstruction [B, C, L * hop]."""
        audio: Tensor = self.layers(quantized)
        missing = quantized.shape[-1] * self.hop_length - audio.shape[-1]
        return F.pad(audio, (0, missing), mode="replicate")
