"""A linear transform codec beside the network: MDCT, then the principal axes of its coefficients.

From the first step the latents carry the waveform to the decoder, and the network learns only what a linear codec can't
do; of all that was tried in the first minutes of training it had the largest effect. Both matrices go on training.
MDCT: Princen, Johnson, Bradley 1987, with the sine window. The principal axes are scaled by `variance ** EXPONENT / 2`
(a partial whitening), so that quiet directions are not lost in the quantizer.

Axes: audio [B, C, T]; latents [B, L, D]; N = 2 * hop_length * C samples under one frame of all channels.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.config import CodecConfig
from codec.nacre.config import NacreConfig
from codec.nacre.framing import centred, overlap_add, split_frames

WHITENING_EXPONENT = 0.6


class LinearAnalysis(nn.Linear):
    """Map frames of two hops to latents, in fp32."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__(2 * config.hop_length * config.channels, config.latent_dim, bias=False)
        assert isinstance(config.network, NacreConfig)
        self.hop_length = config.hop_length
        self.before = config.network.skip_before(config.hop_length)

    def forward(self, audio: Tensor) -> Tensor:
        """Map audio [B, C, L * hop] to latents [B, L, D]."""
        return self.analyse(split_frames(audio, 2 * self.hop_length, self.hop_length, self.before))

    def analyse(self, frames: Tensor) -> Tensor:
        """Map frames [B, L, C, 2 * hop] to latents [B, L, D]."""
        with torch.autocast(frames.device.type, enabled=False):
            return super().forward(frames.flatten(2).float())


class LinearSynthesis(nn.Linear):
    """Map latents to frames of two hops and add them up, in fp32."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__(config.latent_dim, 2 * config.hop_length * config.channels, bias=False)
        self.channels = config.channels
        assert isinstance(config.network, NacreConfig)
        self.hop_length = config.hop_length
        self.before = config.network.skip_before(config.hop_length)

    def forward(self, latents: Tensor) -> Tensor:
        """Map latents [B, L, D] to audio [B, C, L * hop]."""
        return overlap_add(self.synthesise(latents), self.hop_length, self.before)

    def synthesise(self, latents: Tensor) -> Tensor:
        """Map latents [B, L, D] to frames [B, L, C, 2 * hop], to be added up."""
        with torch.autocast(latents.device.type, enabled=False):
            return super().forward(latents.float()).unflatten(-1, (self.channels, -1))


@dataclass(frozen=True)
class LinearCodec:
    """A fitted pair: `analysis` [D, N] and `synthesis` [N, D]."""

    analysis: Tensor
    synthesis: Tensor


def fit_linear_codec(audio: Tensor, hop_length: int, latent_dim: int) -> LinearCodec:
    """Fit the pair to real audio [B, C, L * hop]: the first D principal axes of its MDCT."""
    basis = torch.block_diag(*[mdct_basis(hop_length).to(audio.device)] * audio.shape[1])
    coefficients = _frames(audio.double(), hop_length).flatten(0, 1) @ basis
    variance, axes = torch.linalg.eigh(coefficients.T @ coefficients / len(coefficients))
    variance, axes = variance.flip(0)[:latent_dim].clamp_min(1e-12), axes.flip(1)[:, :latent_dim]
    scale = variance.pow(WHITENING_EXPONENT / 2)
    scale = scale * (variance / scale.square()).mean().sqrt()
    unused = latent_dim - axes.shape[1]
    return LinearCodec(
        analysis=F.pad((basis @ axes / scale).T, (0, 0, 0, unused)),
        synthesis=F.pad(basis @ (axes * scale), (0, unused)),
    )


def mdct_basis(hop_length: int) -> Tensor:
    """Return the windowed MDCT basis [2 * hop, hop] in fp64; its columns are orthonormal under overlap-add."""
    n = torch.arange(2 * hop_length, dtype=torch.float64)
    k = torch.arange(hop_length, dtype=torch.float64)
    window = torch.sin(math.pi * (n + 0.5) / (2 * hop_length))
    phase = math.pi / hop_length * (n[:, None] + 0.5 + hop_length / 2) * (k[None] + 0.5)
    return math.sqrt(2 / hop_length) * torch.cos(phase) * window[:, None]


def _frames(audio: Tensor, hop_length: int) -> Tensor:
    """Cut audio [B, C, L * hop] into frames of two hops, all channels side by side: [B, L, N]."""
    return split_frames(audio, 2 * hop_length, hop_length, centred(2 * hop_length, hop_length)).flatten(2)
