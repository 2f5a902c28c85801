"""Encoder of the `nacre` family: a gain-shape transform codec, and ConvNeXt blocks that correct its latents.

The blocks see levels and shape rather than samples, so what they see hardly depends on loudness.

Axes: audio [B, C, T]; frames [B, L, C, N]; hidden [B, L, W]; latents [B, D, L].
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.config import CodecConfig
from codec.nacre.config import NacreConfig
from codec.nacre.convnext import ConvNeXtBlock, apply_blocks, extend_blocks, start_blocks
from codec.nacre.framing import split_frames
from codec.nacre.gain_shape import LEVEL_SCALE, GainShape, GainShapeAnalysis
from codec.rows import pad_items, steady_items
from codec.steady import SteadyLinear


@dataclass(frozen=True, kw_only=True)
class EncoderState:
    """What a causal encoder has heard: the last samples [B, C, before], and each block's `past` [B, memory, W]."""

    audio: Tensor
    pasts: tuple[Tensor, ...]


class Encoder(nn.Module):
    """Map audio to latents, one column a hop."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        network = config.network
        assert isinstance(network, NacreConfig)
        self.channels = config.channels
        self.can_stream = network.causal
        self.hop_length = config.hop_length
        self.before = network.frame_before(config.hop_length)
        levels = config.channels * network.level_bands
        coefficients = config.channels * config.hop_length
        self.analysis = GainShapeAnalysis(config)
        self.level = SteadyLinear(levels, levels)
        self.shape = SteadyLinear(coefficients, config.latent_dim - levels, bias=False)
        self.embed = SteadyLinear(levels + coefficients, network.width)
        self.norm_in = nn.LayerNorm(network.width, eps=1e-6)
        self.blocks = nn.Sequential(*(ConvNeXtBlock(network) for _ in range(network.encoder_blocks)))
        self.norm_out = nn.LayerNorm(network.width, eps=1e-6)
        self.project = SteadyLinear(network.width, config.latent_dim)

    def forward(self, audio: Tensor, inside: Tensor | None = None) -> Tensor:
        """Map audio [B, C, T] to latents [B, D, L] in fp32.

        `inside` [B, L], bool, tells which frames belong to an item whose audio beyond them is zero; those get what they
        would get alone.
        """
        hidden, latents = self.analyse(self.frames(audio))
        return self.finish(apply_blocks(self.blocks, hidden, inside), latents)

    def start(self, batch_size: int) -> EncoderState:
        """Return the state of a causal encoder before anything was heard."""
        audio = self.embed.weight.new_zeros(batch_size, self.channels, self.before)
        return EncoderState(audio=audio, pasts=start_blocks(self.blocks, batch_size))

    def extend(self, inputs: Tensor, state: EncoderState) -> tuple[Tensor, EncoderState]:
        """Map audio [B, C, L * hop] that follows `state` to latents [B, D, L] and the state of what follows them.

        Silent items go along when the rows are few (codec/rows.py).
        """
        batch, _, length = inputs.shape
        items = steady_items(batch, length // self.hop_length)
        seen = pad_items(torch.cat([state.audio, inputs], dim=-1), items)
        frames = seen.unfold(-1, 2 * self.hop_length, self.hop_length).transpose(1, 2)
        hidden, latents = self.analyse(frames)
        hidden, pasts = extend_blocks(self.blocks, hidden, tuple(pad_items(past, items) for past in state.pasts))
        following = EncoderState(audio=seen[:batch, :, length:], pasts=tuple(past[:batch] for past in pasts))
        return self.finish(hidden, latents)[:batch], following

    def flush(self, rest: Tensor, state: EncoderState) -> Tensor:
        """Return the latents [B, D, 0 or 1] of `rest` [B, C, less than a hop], filled up with zeros."""
        if rest.shape[-1] == 0:
            return rest.new_zeros(len(rest), self.project.out_features, 0)
        return self.extend(self.pad(rest), state)[0]

    def analyse(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map frames [B, L, C, N] to the first block's hidden [B, L, W] and the transform codec's latents [B, L, D]."""
        levels, shape = (part.flatten(2) for part in self.analysis(frames))
        with torch.autocast(frames.device.type, enabled=False):
            scaled = self.level(levels)
            latents = torch.cat([scaled, self.shape(shape)], dim=-1)
        return self.norm_in(self.embed(torch.cat([scaled, shape], dim=-1))), latents

    def finish(self, hidden: Tensor, latents: Tensor) -> Tensor:
        """Map the last block's hidden [B, L, W] and the transform codec's latents [B, L, D] to latents [B, D, L]."""
        return (self.project(self.norm_out(hidden)).float() + latents).transpose(1, 2)

    def frames(self, audio: Tensor) -> Tensor:
        """Cut audio [B, C, T] into frames of two hops [B, L, C, N]."""
        return split_frames(self.pad(audio), 2 * self.hop_length, self.hop_length, self.before)

    def pad(self, audio: Tensor) -> Tensor:
        """Zero-pad audio [B, C, T] at the end to a whole number of hops."""
        return F.pad(audio, (0, -audio.shape[-1] % self.hop_length))

    @torch.no_grad()
    def start_from(self, fitted: GainShape) -> None:
        """Start training from a transform codec that was fitted to audio; shrink the network's part."""
        nn.init.eye_(self.level.weight).mul_(LEVEL_SCALE)
        self.level.bias.copy_(-LEVEL_SCALE * fitted.mean)
        self.shape.weight.copy_(fitted.axes.T * fitted.scale)
        self.project.weight.mul_(0.05)
        self.project.bias.zero_()
