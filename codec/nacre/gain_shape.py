"""A transform codec inside the network: the levels of a frame's bands, and its shape relative to them.

A frame of two hops becomes its MDCT and the log levels of its bands; the shape is the MDCT divided by a power of the
levels, so that quantization noise follows the signal's spectrum, as in every perceptual codec since CELP. Levels are
what listeners and their models judge first, and a network that has them from the first step need not find logarithms;
of all that was tried in the first minutes of training this had the largest effect (docs/experiments.md). The linear
maps between levels, shape and latents start from data: levels scaled, the shape's principal axes. They go on training.

Axes: frames [B, L, C, N]; levels [B, L, C, M]; shape [B, L, C, K]; N = 2 * hop samples, K = hop frequencies, M bands.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from codec.config import CodecConfig
from codec.laid_out import columns_of, product, remembered
from codec.nacre.bands import band_means, band_spread
from codec.nacre.config import NacreConfig
from codec.nacre.mdct import mdct_basis, mdst_basis
from codec.steady import steady

# The first three are part of every package: changed, its weights would mean something else.
# Power at which a band counts as silent: that of white noise 80 dB under full scale.
FLOOR = 1e-8
# What of its band's power the shape is freed of, as an exponent: of 20 dB between two bands 10 dB are left.
EXPONENT = 0.5
# Log power, that of quiet speech, at which levels leave the shape alone; it keeps numbers near 1.
REFERENCE = -12.0
# Beyond every sound that is not clipped; it keeps an untrained network from infinity.
MAX_LOG_GAIN = 4.0
# Latents a unit of log power takes at the start: 1 is 4.3 dB. Finer levels leave fewer bits for the shape.
LEVEL_SCALE = 0.5


class GainShapeAnalysis(nn.Module):
    """Split frames into levels and shape, in fp32; nothing of it trains."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        hop, bands = config.hop_length, _bands(config)
        basis = torch.cat([mdct_basis(hop), mdst_basis(hop)], dim=1).float()
        self.register_buffer("basis", basis, persistent=False)
        self.register_buffer("means", band_means(hop, bands, config.sample_rate), persistent=False)
        self.register_buffer("spread", band_spread(hop, bands, config.sample_rate), persistent=False)

    basis: Tensor
    means: Tensor
    spread: Tensor

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map frames [B, L, C, N] to levels [B, L, C, M], in log power, and shape [B, L, C, K]."""
        with torch.autocast(frames.device.type, enabled=False):
            # Frames overlap in memory: as they are, torch would multiply them one by one.
            cosines, sines = self._transform(frames.float().contiguous()).chunk(2, dim=-1)
            levels = ((cosines.square() + sines.square()) / 2 @ self.means + FLOOR).log()
            return levels, cosines * torch.exp(-_log_gain(levels) @ self.spread)

    def _transform(self, frames: Tensor) -> Tensor:
        if not steady(frames):
            return frames @ self.basis
        rows = product(frames.flatten(0, -2), remembered(self.basis, columns_of), None)
        return rows.unflatten(0, frames.shape[:-1])


class GainShapeSynthesis(nn.Module):
    """Put frames together from levels and shape, in fp32; nothing of it trains."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        hop, bands = config.hop_length, _bands(config)
        self.register_buffer("basis", mdct_basis(hop).float().T.contiguous(), persistent=False)
        self.register_buffer("spread", band_spread(hop, bands, config.sample_rate), persistent=False)

    basis: Tensor
    spread: Tensor

    def forward(self, levels: Tensor, shape: Tensor) -> Tensor:
        """Map levels [B, L, C, M] and shape [B, L, C, K] to frames [B, L, C, N], to be added up."""
        with torch.autocast(levels.device.type, enabled=False):
            gain = _log_gain(levels.float()) @ self.spread
            return shape.float() * gain.clamp(max=MAX_LOG_GAIN).exp() @ self.basis


@dataclass(frozen=True, kw_only=True)
class GainShape:
    """What starts from data: `mean` [C * M] of the levels, `axes` [C * K, S] of the shape and their common `scale`."""

    mean: Tensor
    axes: Tensor
    scale: float


def fit_gain_shape(analysis: GainShapeAnalysis, frames: Tensor, dimensions: int) -> GainShape:
    """Fit to frames [B, L, C, N] of real audio: the first `dimensions` principal axes of its shape, of unit power."""
    levels, shape = (part.flatten(2).flatten(0, 1).double() for part in analysis(frames))
    power, axes = torch.linalg.eigh(shape.T @ shape / len(shape))
    power, axes = power.flip(0)[:dimensions], axes.flip(1)[:, :dimensions]
    unused = dimensions - axes.shape[1]
    return GainShape(
        mean=levels.mean(0),
        axes=torch.nn.functional.pad(axes, (0, unused)),
        scale=float((dimensions / power.sum().clamp_min(FLOOR)).sqrt()),
    )


def _log_gain(levels: Tensor) -> Tensor:
    """Return the logarithm of what the shape is divided by, in each band."""
    return (EXPONENT * levels + (1 - EXPONENT) * REFERENCE) / 2


def _bands(config: CodecConfig) -> int:
    assert isinstance(config.network, NacreConfig)
    return config.network.level_bands
