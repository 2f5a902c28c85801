"""Multi-scale mel loss: L1 between log-mel spectrograms at several window lengths.

Source: the multi-scale mel loss of EnCodec (arXiv 2210.13438) and DAC (arXiv 2306.06546), on auraloss' `STFTLoss`. Our
deviations:
 - an own Slaney filterbank instead of librosa's (equal to it; no numba), each filter then scaled to a weighted mean, so
   that one floor suits all windows; filters narrower than a bin, which would be empty, are left out;
 - magnitudes relative to a full-scale sine, with a floor of -80 dB inside the root, so silence has finite gradients;
 - no phase is computed (auraloss always does).

Axes: audio, reconstruction [B, C, T]; filterbank [M, F]; M mel bands, F frequency bins.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from auraloss.freq import STFTLoss
from numpy.typing import NDArray
from torch import Tensor, nn

# -80 dB relative to a full-scale sine: quieter than this, differences stop to matter.
FLOOR = 1e-4
LINEAR_HZ_PER_MEL = 200 / 3
LOG_START_HZ = 1000.0
LOG_STEP = math.log(6.4) / 27


def slaney_filterbank(sample_rate: int, fft_length: int, num_mels: int) -> NDArray[np.float64]:
    """Return Slaney's triangular mel filters [num_mels, fft_length // 2 + 1], each with unit area over Hz.

    Slaney's Auditory Toolbox scale: linear below 1 kHz, logarithmic above; the default of librosa.
    """
    top = _hz_to_mel(np.array(sample_rate / 2))
    edges = _mel_to_hz(np.linspace(0.0, top, num_mels + 2))
    bins = np.linspace(0, sample_rate / 2, fft_length // 2 + 1)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return triangles * (2 / (edges[2:] - edges[:-2]))[:, None]


def _hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    log_part = LOG_START_HZ / LINEAR_HZ_PER_MEL + np.log(np.maximum(hz, 1e-9) / LOG_START_HZ) / LOG_STEP
    return np.where(hz >= LOG_START_HZ, log_part, hz / LINEAR_HZ_PER_MEL)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    start = LOG_START_HZ / LINEAR_HZ_PER_MEL
    return np.where(mel >= start, LOG_START_HZ * np.exp(LOG_STEP * (mel - start)), LINEAR_HZ_PER_MEL * mel)


class MelScaleLoss(STFTLoss):  # type: ignore[misc]  # auraloss has no types
    """L1 between log-mel spectrograms of one window length, hop a quarter of it."""

    def __init__(self, sample_rate: int, window_length: int, num_mels: int) -> None:
        super().__init__(window_length, window_length // 4, window_length, w_sc=0.0, w_log_mag=1.0)
        filters = slaney_filterbank(sample_rate, window_length, num_mels)
        filters = filters[filters.sum(1) > 0]
        window = self.window
        del self.window
        self.register_buffer("window", window, persistent=False)
        means = torch.from_numpy(filters / filters.sum(1, keepdims=True)).float()
        self.register_buffer("fb", means[None], persistent=False)
        self.scale = "mel"

    def stft(self, x: Tensor) -> tuple[Tensor, None]:
        """Return magnitudes [B * C, F, L] above the floor, and no phase."""
        length = self.win_length
        spectrum = torch.stft(x, length, self.hop_size, length, self.window, return_complex=True) * (2 / length)
        return (spectrum.real.square() + spectrum.imag.square() + FLOOR**2).sqrt(), None


class MultiScaleMelLoss(nn.Module):
    """The mean of `MelScaleLoss` over several window lengths, in fp32 under autocast too."""

    def __init__(self, sample_rate: int, window_lengths: Sequence[int], num_mels: Sequence[int]) -> None:
        super().__init__()
        pairs = zip(window_lengths, num_mels, strict=True)
        self.scales = nn.ModuleList(MelScaleLoss(sample_rate, window, mels) for window, mels in pairs)

    def forward(self, reconstruction: Tensor, audio: Tensor) -> Tensor:
        """Return the scalar loss of reconstruction [B, C, T] against audio [B, C, T]."""
        with torch.autocast(audio.device.type, enabled=False):
            total = sum(scale(reconstruction.float(), audio.float()) for scale in self.scales)
            assert isinstance(total, Tensor)
            return total / len(self.scales)
