"""Decoder of the `nacre` family: a gain-shape transform codec, and ConvNeXt blocks that correct its levels and shape.

Axes: latents [B, D, L]; hidden [B, L, W]; levels, shape, frames as in codec/nacre/gain_shape.py; audio [B, C, L * hop].
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from codec.config import CodecConfig
from codec.nacre.config import NacreConfig
from codec.nacre.convnext import ConvNeXtBlock, apply_blocks, extend_blocks, start_blocks
from codec.nacre.framing import extend_sum, overlap_add
from codec.nacre.gain_shape import LEVEL_SCALE, GainShape, GainShapeSynthesis
from codec.steady import SteadyLinear


@dataclass(frozen=True, kw_only=True)
class DecoderState:
    """What a causal decoder holds: each block's `past` [B, memory, W], and the sum still open, `tail` [B, C, hop].

    The tail begins one hop behind the frames heard; that hop doesn't exist until one was: `started`.
    """

    pasts: tuple[Tensor, ...]
    tail: Tensor
    started: bool


class Decoder(nn.Module):
    """Map latents to audio."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        network = config.network
        assert isinstance(network, NacreConfig)
        self.can_stream = network.causal
        self.channels = config.channels
        self.hop_length = config.hop_length
        self.before = network.frame_before(config.hop_length)
        self.levels = config.channels * network.level_bands
        coefficients = config.channels * config.hop_length
        self.level = SteadyLinear(self.levels, self.levels)
        self.shape = SteadyLinear(config.latent_dim - self.levels, coefficients, bias=False)
        self.embed = SteadyLinear(config.latent_dim, network.width)
        self.blocks = nn.Sequential(*(ConvNeXtBlock(network) for _ in range(network.decoder_blocks)))
        self.norm = nn.LayerNorm(network.width, eps=1e-6)
        self.correct = SteadyLinear(network.width, self.levels + coefficients)
        self.synthesis = GainShapeSynthesis(config)

    def forward(self, latents: Tensor, inside: Tensor | None = None) -> Tensor:
        """Map latents [B, D, L] to a reconstruction [B, C, L * hop] in fp32.

        `inside` [B, L], bool, tells which frames belong to an item; those get what they would get alone, if what
        overlaps into the hop after an item's last is left out.
        """
        latents = latents.transpose(1, 2)
        frames = self.synthesise(latents, apply_blocks(self.blocks, self.embed(latents), inside))
        if inside is not None:
            frames = frames.masked_fill(~inside[..., None, None], 0)
        return overlap_add(frames, self.hop_length, self.before)

    def start(self, batch_size: int) -> DecoderState:
        """Return the state of a causal decoder before the first frame."""
        tail = self.embed.weight.new_zeros(batch_size, self.channels, self.hop_length)
        return DecoderState(pasts=start_blocks(self.blocks, batch_size), tail=tail, started=False)

    def extend(self, inputs: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Map latents [B, D, L] that follow `state` to the audio [B, C, T] that they make final, and the next state.

        T is `L * hop`, one hop less the first time.
        """
        latents = inputs.transpose(1, 2)
        hidden, pasts = extend_blocks(self.blocks, self.embed(latents), state.pasts)
        audio, tail = extend_sum(self.synthesise(latents, hidden), self.hop_length, state.tail)
        return audio[..., 0 if state.started else self.hop_length :], DecoderState(pasts=pasts, tail=tail, started=True)

    def flush(self, state: DecoderState) -> Tensor:
        """Return the last hop [B, C, hop], as it is without a next frame; nothing if there was none at all."""
        return state.tail[..., : self.hop_length if state.started else 0]

    def synthesise(self, latents: Tensor, hidden: Tensor) -> Tensor:
        """Map latents [B, L, D] and the last block's hidden [B, L, W] to frames [B, L, C, N], to be added up."""
        corrections = self.correct(self.norm(hidden)).float()
        with torch.autocast(latents.device.type, enabled=False):
            decoded = latents.float()
            levels = self.level(decoded[..., : self.levels]) + corrections[..., : self.levels]
            shape = self.shape(decoded[..., self.levels :]) + corrections[..., self.levels :]
        return self.synthesis(levels.unflatten(-1, (self.channels, -1)), shape.unflatten(-1, (self.channels, -1)))

    @torch.no_grad()
    def start_from(self, fitted: GainShape) -> None:
        """Start training from a transform codec that was fitted to audio; shrink the network's part."""
        nn.init.eye_(self.level.weight).div_(LEVEL_SCALE)
        self.level.bias.copy_(fitted.mean)
        self.shape.weight.copy_(fitted.axes / fitted.scale)
        self.correct.weight.mul_(0.05)
        self.correct.bias.zero_()
