"""Encoder of the `nacre` family: linear frames, ConvNeXt blocks, and the linear skip.

Measured against an STFT front end in the first minutes of training, linear frames of two hops did better.

Axes: audio [B, C, T]; hidden [B, L, W]; latents [B, D, L].
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.config import CodecConfig
from codec.nacre.config import NacreConfig
from codec.nacre.convnext import ConvNeXtBlock, extend_blocks, start_blocks
from codec.nacre.framing import split_frames
from codec.nacre.linear_skip import LinearAnalysis
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
        self.frame_length = network.frame_length
        self.before = network.frame_before(config.hop_length)
        self.embed = SteadyLinear(config.channels * network.frame_length, network.width)
        self.norm_in = nn.LayerNorm(network.width, eps=1e-6)
        self.blocks = nn.Sequential(*(ConvNeXtBlock(network) for _ in range(network.encoder_blocks)))
        self.norm_out = nn.LayerNorm(network.width, eps=1e-6)
        self.project = SteadyLinear(network.width, config.latent_dim)
        self.skip = LinearAnalysis(config)

    def forward(self, audio: Tensor, inside: Tensor | None = None) -> Tensor:
        """Map audio [B, C, T] to latents [B, D, L] in fp32.

        `inside` [B, L], bool, tells which frames belong to an item whose audio beyond them is zero; those get what they
        would get alone.
        """
        audio = self.pad(audio)
        frames = split_frames(audio, self.frame_length, self.hop_length, self.before).flatten(2)
        hidden = self.norm_in(self.embed(frames))
        if inside is None:
            hidden = self.blocks(hidden)
        else:
            hidden = hidden * inside[..., None]
            for block in self.blocks:
                hidden = block(hidden) * inside[..., None]
        return self.finish(hidden, self.skip(audio))

    def start(self, batch_size: int) -> EncoderState:
        """Return the state of a causal encoder before anything was heard."""
        memory = max(self.before, self.skip.before)
        audio = self.embed.weight.new_zeros(batch_size, self.channels, memory)
        return EncoderState(audio=audio, pasts=start_blocks(self.blocks, batch_size))

    def extend(self, inputs: Tensor, state: EncoderState) -> tuple[Tensor, EncoderState]:
        """Map audio [B, C, L * hop] that follows `state` to latents [B, D, L] and the state of what follows them.

        Silent items go along when the rows are few (codec/rows.py).
        """
        batch, _, length = inputs.shape
        items = steady_items(batch, length // self.hop_length)
        seen = pad_items(torch.cat([state.audio, inputs], dim=-1), items)
        hidden = self.norm_in(self.embed(self._frames(seen, length, self.frame_length).flatten(2)))
        hidden, pasts = extend_blocks(self.blocks, hidden, tuple(pad_items(past, items) for past in state.pasts))
        skipped = self.skip.analyse(self._frames(seen, length, 2 * self.hop_length))
        following = EncoderState(audio=seen[:batch, :, length:], pasts=tuple(past[:batch] for past in pasts))
        return self.finish(hidden, skipped)[:batch], following

    def flush(self, rest: Tensor, state: EncoderState) -> Tensor:
        """Return the latents [B, D, 0 or 1] of `rest` [B, C, less than a hop], filled up with zeros."""
        if rest.shape[-1] == 0:
            return rest.new_zeros(len(rest), self.project.out_features, 0)
        return self.extend(self.pad(rest), state)[0]

    def _frames(self, seen: Tensor, length: int, frame_length: int) -> Tensor:
        """Cut the frames [B, L, C, frame_length] that end within the last `length` samples of seen [B, C, T]."""
        start = seen.shape[-1] - length - (frame_length - self.hop_length)
        return seen[..., start:].unfold(-1, frame_length, self.hop_length).transpose(1, 2)

    def finish(self, hidden: Tensor, skipped: Tensor) -> Tensor:
        """Map the last block's hidden [B, L, W] and the linear skip's [B, L, D] to latents [B, D, L]."""
        return (self.project(self.norm_out(hidden)).float() + skipped).transpose(1, 2)

    def pad(self, audio: Tensor) -> Tensor:
        """Zero-pad audio [B, C, T] at the end to a whole number of hops."""
        return F.pad(audio, (0, -audio.shape[-1] % self.hop_length))

    @torch.no_grad()
    def start_from(self, analysis: Tensor) -> None:
        """Start training from a linear codec: set the skip to `analysis` [D, N] and shrink the network's part."""
        self.skip.weight.copy_(analysis)
        self.project.weight.mul_(0.05)
        self.project.bias.zero_()
