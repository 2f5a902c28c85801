"""Encoder of the `seanet` family: residual units and strided convolutions, an LSTM, and the way to the latents.

Sources: SoundStream (arXiv 2107.03312, section III.A), EnCodec (arXiv 2210.13438, section 3.1).

A causal one can go on where it stopped. With reflected padding its first latents come once `latent_kernel_size` hops
are there, and from then on each as soon as its hop is.

Axes: audio [B, C, T]; latents [B, D, L]; L = ceil(T / hop_length).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from codec.config import CodecConfig
from codec.seanet.blocks import residual_units
from codec.seanet.config import SeanetConfig
from codec.seanet.convolution import ConvState, PaddedConv
from codec.seanet.film import FiLM
from codec.seanet.lstm import ResidualLSTM
from codec.seanet.sequence import extend_layers, start_layers
from codec.steady import SteadyELU, steady


@dataclass(frozen=True, kw_only=True)
class EncoderState:
    """The states of a causal encoder's layers, and the `condition` [B] it was started with: which items to denoise."""

    layers: tuple[Any, ...]
    project: ConvState
    condition: Tensor | None


class SeanetEncoder(nn.Module):
    """Map audio to latents, one column a hop."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        network = config.network
        assert isinstance(network, SeanetConfig)
        self.can_stream = network.causal
        self.window = network.window_frames(config.hop_length) * config.hop_length
        width = network.filters
        layers: list[nn.Module] = [PaddedConv(network, config.channels, width, network.kernel_size)]
        for stride in reversed(network.ratios):
            layers += residual_units(network, width, SteadyELU)
            layers += [SteadyELU(), PaddedConv(network, width, 2 * width, 2 * stride, stride=stride)]
            width *= 2
        if network.lstm_layers:
            layers.append(ResidualLSTM(width, network.lstm_layers, exact=True))
        self.layers = nn.Sequential(*layers)
        self.activation = SteadyELU()
        self.film = FiLM(width) if network.denoising else None
        self.project = PaddedConv(network, width, config.latent_dim, network.latent_kernel_size)

    def forward(self, audio: Tensor, denoise: Tensor | None = None) -> Tensor:
        """Map audio [B, C, T] to latents [B, D, L] in fp32.

        `denoise` [B], bool, says which items to denoise; None is none of them. It needs `network.denoising`.
        """
        if self.can_stream and steady(audio) and audio.shape[-1] > self.window:
            return self._in_windows(audio, denoise)
        return self.project(self.activation(self._conditioned(self.layers(audio), denoise))).float()

    def start(self, batch_size: int, denoise: Tensor | None = None) -> EncoderState:
        """Return the state of a causal encoder before anything was heard; `denoise` [B] as for `forward`."""
        return EncoderState(
            layers=start_layers(self.layers, batch_size), project=self.project.start(batch_size), condition=denoise
        )

    def extend(self, inputs: Tensor, state: EncoderState) -> tuple[Tensor, EncoderState]:
        """Map whole hops of audio [B, C, L * hop] that follow `state` to the latents [B, D, L'] now final."""
        return self._go_on(inputs, state, last=False)

    def flush(self, rest: Tensor, state: EncoderState) -> Tensor:
        """Return the last latents [B, D, L], those of `rest` [B, C, T], what is left of the audio, included."""
        return self._go_on(rest, state, last=True)[0]

    def _in_windows(self, audio: Tensor, denoise: Tensor | None) -> Tensor:
        """Map audio [B, C, T] to latents [B, D, L], the same to the bit, without leaving the processor's cache."""
        *windows, rest = audio.split(self.window, dim=-1)
        state, latents = self.start(audio.shape[0], denoise), []
        for window in windows:
            part, state = self.extend(window, state)
            latents.append(part)
        return torch.cat([*latents, self.flush(rest, state)], dim=-1)

    def _go_on(self, audio: Tensor, state: EncoderState, *, last: bool) -> tuple[Tensor, EncoderState]:
        hidden, layers = extend_layers(self.layers, audio, state.layers, last=last)
        hidden = self.activation(self._conditioned(hidden, state.condition))
        latents, project = self.project.extend(hidden, state.project, last=last)
        return latents.float(), EncoderState(layers=layers, project=project, condition=state.condition)

    def _conditioned(self, hidden: Tensor, denoise: Tensor | None) -> Tensor:
        if self.film is None:
            assert denoise is None
            return hidden
        return self.film(hidden, hidden.new_zeros(hidden.shape[0]) if denoise is None else denoise)
