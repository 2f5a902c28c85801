"""Decoder of the `seanet` family: the encoder mirrored, with transposed convolutions.

Sources: SoundStream (arXiv 2107.03312, section III.B), EnCodec (arXiv 2210.13438, section 3.1).

Axes: quantized [B, D, L]; reconstruction [B, C, L * hop_length].
"""

import torch.nn.functional as F
from torch import Tensor, nn

from codec.config import CodecConfig
from codec.seanet.blocks import residual_units
from codec.seanet.config import SeanetConfig
from codec.seanet.convolution import PaddedConv, TrimmedConvTranspose
from codec.seanet.lstm import ResidualLSTM


class SeanetDecoder(nn.Module):
    """Map latents to audio."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        network = config.network
        assert isinstance(network, SeanetConfig)
        width = network.filters * 2 ** len(network.ratios)
        layers: list[nn.Module] = [PaddedConv(network, config.latent_dim, width, network.kernel_size)]
        if network.lstm_layers:
            layers.append(ResidualLSTM(width, network.lstm_layers))
        for stride in network.ratios:
            layers += [nn.ELU(), TrimmedConvTranspose(network, width, width // 2, stride)]
            width //= 2
            layers += residual_units(network, width)
        self.layers = nn.Sequential(*layers)
        self.project = PaddedConv(network, width, config.channels, network.kernel_size)

    def forward(self, quantized: Tensor) -> Tensor:
        """Map quantized [B, D, L] to a reconstruction [B, C, L * hop_length] in fp32."""
        return self.project(F.elu(self.layers(quantized))).float()
