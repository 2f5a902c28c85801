"""Encoder of the `seanet` family: residual units and strided convolutions, an LSTM, and the way to the latents.

Sources: SoundStream (arXiv 2107.03312, section III.A), EnCodec (arXiv 2210.13438, section 3.1).

Axes: audio [B, C, T]; latents [B, D, L]; L = ceil(T / hop_length).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from codec.config import CodecConfig
from codec.seanet.blocks import residual_units
from codec.seanet.config import SeanetConfig
from codec.seanet.convolution import PaddedConv
from codec.seanet.film import FiLM
from codec.seanet.lstm import ResidualLSTM


class SeanetEncoder(nn.Module):
    """Map audio to latents, one column a hop."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        network = config.network
        assert isinstance(network, SeanetConfig)
        width = network.filters
        layers: list[nn.Module] = [PaddedConv(network, config.channels, width, network.kernel_size)]
        for stride in reversed(network.ratios):
            layers += residual_units(network, width)
            layers += [nn.ELU(), PaddedConv(network, width, 2 * width, 2 * stride, stride=stride)]
            width *= 2
        if network.lstm_layers:
            layers.append(ResidualLSTM(width, network.lstm_layers))
        self.layers = nn.Sequential(*layers)
        self.film = FiLM(width) if network.denoising else None
        self.project = PaddedConv(network, width, config.latent_dim, network.latent_kernel_size)

    def forward(self, audio: Tensor, denoise: Tensor | None = None) -> Tensor:
        """Map audio [B, C, T] to latents [B, D, L] in fp32.

        `denoise` [B], bool, says which items to denoise; None is none of them. It needs `network.denoising`.
        """
        hidden = self.layers(audio)
        if self.film is not None:
            plain = hidden.new_zeros(hidden.shape[0])
            hidden = self.film(hidden, plain if denoise is None else denoise)
        else:
            assert denoise is None
        return self.project(F.elu(hidden)).float()
