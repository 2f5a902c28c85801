"""Decoder of the `nacre` family: ConvNeXt blocks, upsampling in time between them, and an inverse STFT head.

The head follows Vocos (arXiv 2306.00814), with one deviation: instead of an angle it predicts a vector, normalised to
unit length (a unit phasor), which has no wrap-around and learned far faster here.

Axes: latents [B, D, L]; hidden [B, L, W]; spectrum [B, L * U, C, F]; reconstruction [B, C, L * hop].
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from codec.config import CodecConfig
from codec.nacre.config import NacreConfig
from codec.nacre.convnext import ConvNeXtBlock, extend_blocks, start_blocks
from codec.nacre.framing import extend_sum, overlap_add
from codec.nacre.linear_skip import LinearSynthesis
from codec.steady import SteadyLinear

MAX_LOG_MAGNITUDE = 5.0
PHASOR_EPSILON = 1e-4


class InverseSTFTHead(nn.Module):
    """Map hidden [B, L, W] to audio [B, C, L * hop] through predicted magnitudes and unit phasors."""

    window: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        network = config.network
        assert isinstance(network, NacreConfig)
        self.channels = config.channels
        self.fft_length = network.fft_length
        self.hop_length = config.hop_length // network.upsampling
        self.before = network.transform_before(config.hop_length)
        self.project = SteadyLinear(network.width, self.channels * 3 * (self.fft_length // 2 + 1))
        self.register_buffer("window", torch.hann_window(self.fft_length), persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden [B, L, W] to audio [B, C, L * hop]."""
        return overlap_add(self.transform(hidden), self.hop_length, self.before) * self.gain

    @property
    def gain(self) -> float:
        """What undoes the sum of the windows that overlap."""
        return self.hop_length / (0.5 * self.fft_length)

    def transform(self, hidden: Tensor) -> Tensor:
        """Map hidden [B, L, W] to windowed frames [B, L, C, fft_length], to be added up; in fp32."""
        parts = self.project(hidden).float()
        with torch.autocast(hidden.device.type, enabled=False):
            log_magnitude, real, imaginary = parts.unflatten(-1, (self.channels, 3, -1)).unbind(-2)
            magnitude = log_magnitude.clamp(max=MAX_LOG_MAGNITUDE).exp()
            magnitude = magnitude * torch.rsqrt(real.square() + imaginary.square() + PHASOR_EPSILON)
            return self.inverse(magnitude * real, magnitude * imaginary)

    def inverse(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """Map the parts of a spectrum, both [B, L, C, F], to windowed frames [B, L, C, fft_length]."""
        return torch.fft.irfft(torch.complex(real, imaginary), n=self.fft_length) * self.window

    @torch.no_grad()
    def quieten(self) -> None:
        """Start near silence."""
        self.project.weight.mul_(0.3)
        self.project.bias.unflatten(0, (self.channels, 3, -1))[:, 0].fill_(-3.0)


@dataclass(frozen=True, kw_only=True)
class DecoderState:
    """What a causal decoder holds: each block's `past` [B, memory, W], and the sums still open.

    `head` [B, C, fft_length - part] and `skip` [B, C, hop] both begin one hop behind the frames heard; that hop doesn't
    exist until one was: `started`.
    """

    pasts: tuple[Tensor, ...]
    pasts_upsampled: tuple[Tensor, ...]
    head: Tensor
    skip: Tensor
    started: bool


class Decoder(nn.Module):
    """Map latents to audio."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        network = config.network
        assert isinstance(network, NacreConfig)
        width, upsampling = network.width, network.upsampling

        def blocks(count: int) -> nn.Sequential:
            return nn.Sequential(*(ConvNeXtBlock(network) for _ in range(count)))

        self.can_stream = network.causal
        self.upsampling = upsampling
        self.embed = SteadyLinear(config.latent_dim, width)
        self.blocks = blocks(network.decoder_blocks)
        self.upsample = SteadyLinear(width, upsampling * width)
        self.blocks_upsampled = blocks(network.decoder_blocks_upsampled)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = InverseSTFTHead(config)
        self.skip = LinearSynthesis(config)

    def forward(self, latents: Tensor) -> Tensor:
        """Map latents [B, D, L] to a reconstruction [B, C, L * hop] in fp32."""
        latents = latents.transpose(1, 2)
        hidden = self.blocks(self.embed(latents))
        hidden = self.blocks_upsampled(self.upsampled(hidden))
        return self.head(self.norm(hidden)) + self.skip(latents)

    def start(self, batch_size: int) -> DecoderState:
        """Return the state of a causal decoder before the first frame."""
        head, skip, weight = self.head, self.skip, self.skip.weight
        return DecoderState(
            pasts=start_blocks(self.blocks, batch_size),
            pasts_upsampled=start_blocks(self.blocks_upsampled, batch_size),
            head=weight.new_zeros(batch_size, head.channels, head.fft_length - head.hop_length),
            skip=weight.new_zeros(batch_size, head.channels, skip.hop_length),
            started=False,
        )

    def extend(self, inputs: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Map latents [B, D, L] that follow `state` to the audio [B, C, T] that they make final, and the next state.

        T is `L * hop`, one hop less the first time.
        """
        latents = inputs.transpose(1, 2)
        hidden, pasts = extend_blocks(self.blocks, self.embed(latents), state.pasts)
        hidden, upsampled = extend_blocks(self.blocks_upsampled, self.upsampled(hidden), state.pasts_upsampled)
        frames = self.head.transform(self.norm(hidden))
        audio, head = extend_sum(frames, self.head.hop_length, state.head)
        skipped, skip = extend_sum(self.skip.synthesise(latents), self.skip.hop_length, state.skip)
        following = DecoderState(pasts=pasts, pasts_upsampled=upsampled, head=head, skip=skip, started=True)
        return (audio * self.head.gain + skipped)[..., 0 if state.started else self.skip.hop_length :], following

    def flush(self, state: DecoderState) -> Tensor:
        """Return the last hop [B, C, hop], as it is without a next frame; nothing if there was none at all."""
        length = self.skip.hop_length if state.started else 0
        return state.head[..., :length] * self.head.gain + state.skip[..., :length]

    def upsampled(self, hidden: Tensor) -> Tensor:
        """Map hidden [B, L, W] to [B, L * U, W]."""
        batch, count, width = hidden.shape
        return self.upsample(hidden).view(batch, count * self.upsampling, width)

    @torch.no_grad()
    def start_from(self, synthesis: Tensor) -> None:
        """Start training from a linear codec: set the skip to `synthesis` [N, D] and quieten the network's part."""
        self.skip.weight.copy_(synthesis)
        self.head.quieten()
