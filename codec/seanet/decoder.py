"""Decoder of the `seanet` family: the encoder mirrored, with transposed convolutions.

Sources: SoundStream (arXiv 2107.03312, section III.B), EnCodec (arXiv 2210.13438, section 3.1).

A causal one can go on where it stopped. With reflected padding its first audio comes once `kernel_size` frames are
there, and from then on each hop as soon as its frame is. Activations and a whole file's LSTM are torch's own, quicker
than those of the encoder (codec/steady.py): codes must be the same to the bit, audio within 1e-5.

Axes: quantized [B, D, L]; reconstruction [B, C, L * hop_length].
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from codec.config import CodecConfig
from codec.seanet.blocks import residual_units
from codec.seanet.config import SeanetConfig
from codec.seanet.convolution import ConvState, PaddedConv, TrimmedConvTranspose
from codec.seanet.lstm import ResidualLSTM
from codec.seanet.sequence import extend_layers, start_layers
from codec.steady import steady


@dataclass(frozen=True, kw_only=True)
class DecoderState:
    """The states of a causal decoder's layers."""

    layers: tuple[Any, ...]
    project: ConvState


class SeanetDecoder(nn.Module):
    """Map latents to audio."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        network = config.network
        assert isinstance(network, SeanetConfig)
        self.can_stream = network.causal
        self.window = network.window_frames(config.hop_length)
        self.latent_dim = config.latent_dim
        width = network.filters * 2 ** len(network.ratios)
        layers: list[nn.Module] = [PaddedConv(network, config.latent_dim, width, network.kernel_size)]
        if network.lstm_layers:
            layers.append(ResidualLSTM(width, network.lstm_layers, exact=False))
        for stride in network.ratios:
            layers += [_elu(), TrimmedConvTranspose(network, width, width // 2, stride)]
            width //= 2
            layers += residual_units(network, width, _elu)
        self.layers = nn.Sequential(*layers)
        self.activation = _elu()
        self.project = PaddedConv(network, width, config.channels, network.kernel_size)

    def forward(self, quantized: Tensor) -> Tensor:
        """Map quantized [B, D, L] to a reconstruction [B, C, L * hop_length] in fp32."""
        if self.can_stream and steady(quantized) and quantized.shape[-1] > self.window:
            return self._in_windows(quantized)
        return self.project(self.activation(self.layers(quantized))).float()

    def start(self, batch_size: int) -> DecoderState:
        """Return the state of a causal decoder before the first frame."""
        return DecoderState(layers=start_layers(self.layers, batch_size), project=self.project.start(batch_size))

    def extend(self, inputs: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Map latents [B, D, L] that follow `state` to the audio [B, C, T] now final, and the next state."""
        return self._go_on(inputs, state, last=False)

    def flush(self, state: DecoderState) -> Tensor:
        """Return the audio [B, C, T] that still waited: with reflected padding, that of very short files."""
        batch = state.project.tail.shape[0]
        return self._go_on(state.project.tail.new_zeros(batch, self.latent_dim, 0), state, last=True)[0]

    def _in_windows(self, quantized: Tensor) -> Tensor:
        """Map quantized [B, D, L] to audio [B, C, L * hop_length] without leaving the processor's cache."""
        state, audio = self.start(quantized.shape[0]), []
        for window in quantized.split(self.window, dim=-1):
            part, state = self.extend(window, state)
            audio.append(part)
        return torch.cat([*audio, self.flush(state)], dim=-1)

    def _go_on(self, quantized: Tensor, state: DecoderState, *, last: bool) -> tuple[Tensor, DecoderState]:
        hidden, layers = extend_layers(self.layers, quantized, state.layers, last=last)
        audio, project = self.project.extend(self.activation(hidden), state.project, last=last)
        return audio.float(), DecoderState(layers=layers, project=project)


def _elu() -> nn.Module:
    return nn.ELU(inplace=True)
