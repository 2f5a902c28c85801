"""Multi-resolution STFT distances: of magnitudes, and of complex spectra, which see phase.

Source: Yamamoto et al. 2019 (arXiv 1904.04472) by way of auraloss' `STFTLoss`. Our deviations:
 - the complex distance |X - Y| per bin, from the same transforms; without a loss that sees phase the reconstruction
   never locks to the waveform (measured: SI-SDR of -34 dB against 8 dB after two minutes);
 - each item is relative to its own mean magnitude, so quiet items count, and N ranks do what one
   does on the joint batch;
 - no spectral convergence, which explodes on silent targets.

Axes: audio, reconstruction [B, C, T]; spectrum [B, C * F * L]; F bins, L frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from auraloss.freq import STFTLoss
from torch import Tensor, nn

# Keeps the root differentiable at zero.
ROOT_EPSILON = 1e-9
# Added to the mean magnitude that distances are relative to, so that silence doesn't divide by nothing.
LEVEL_FLOOR = 1e-3


@dataclass(frozen=True)
class STFTDistances:
    """Scalars: `linear` between magnitudes, `complex` between complex spectra."""

    linear: Tensor
    complex: Tensor


class STFTDistance(STFTLoss):  # type: ignore[misc]  # auraloss has no types
    """Both distances at one window length, hop a quarter of it."""

    def __init__(self, window_length: int) -> None:
        super().__init__(window_length, window_length // 4, window_length, w_sc=0.0, w_log_mag=0.0, w_lin_mag=1.0)
        window = self.window
        del self.window
        self.register_buffer("window", window, persistent=False)

    def spectrum(self, audio: Tensor) -> Tensor:
        """Return the complex spectrum [B, C * F * L] of audio [B, C, T]."""
        length = self.win_length
        flat = audio.reshape(-1, audio.shape[-1])
        spectrum = torch.stft(flat, length, self.hop_size, length, self.window, return_complex=True)
        return spectrum.reshape(len(audio), -1)

    def forward(self, reconstruction: Tensor, audio: Tensor) -> STFTDistances:
        """Return the distances of reconstruction [B, C, T] from audio [B, C, T], relative to the audio's level."""
        predicted = self.spectrum(reconstruction)
        with torch.no_grad():
            target = self.spectrum(audio)
            target_magnitude = target.abs()
            level = target_magnitude.mean(1, keepdim=True) + LEVEL_FLOOR
        linear = self.linstft(_magnitude(predicted) / level, target_magnitude / level)
        return STFTDistances(linear=linear, complex=(_magnitude(predicted - target) / level).mean())


class MultiResolutionSTFTLoss(nn.Module):
    """The mean of both distances over several window lengths, in fp32 under autocast too."""

    def __init__(self, window_lengths: Sequence[int]) -> None:
        super().__init__()
        self.scales = nn.ModuleList(STFTDistance(window) for window in window_lengths)

    def forward(self, reconstruction: Tensor, audio: Tensor) -> STFTDistances:
        """Return the distances of reconstruction [B, C, T] from audio [B, C, T]."""
        with torch.autocast(audio.device.type, enabled=False):
            parts = [scale(reconstruction.float(), audio.float()) for scale in self.scales]
            return STFTDistances(
                linear=torch.stack([part.linear for part in parts]).mean(),
                complex=torch.stack([part.complex for part in parts]).mean(),
            )


def waveform_distance(reconstruction: Tensor, audio: Tensor) -> Tensor:
    """Return the mean absolute difference [B, C, T], relative to each item's mean absolute value."""
    level = audio.float().abs().mean((1, 2), keepdim=True) + LEVEL_FLOOR
    return ((reconstruction.float() - audio.float()) / level).abs().mean()


def _magnitude(spectrum: Tensor) -> Tensor:
    return (spectrum.real.square() + spectrum.imag.square() + ROOT_EPSILON).sqrt()
