"""Objective metrics of a reconstruction against its original.

None replaces listening; each docstring says what its metric is bad at. Those that other programs give are in
training/perceptual.py.

Axes: audio, reconstruction [C, T], float in [-1, 1].
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from training.losses.mel import slaney_filterbank
from training.perceptual import UndefinedScore, distillmos, pesq, stoi, visqol, visqol_in_mode

MetricName = Literal[
    "mel_distance",
    "si_sdr_db",
    "stoi",
    "log_spectral_distance_db",
    "bandwidth_khz",
    "pesq",
    "visqol",
    "visqol_speech",
    "visqol_audio",
    "distillmos",
]
# Those that need no optional package.
OWN_METRICS: tuple[MetricName, ...] = ("mel_distance", "si_sdr_db", "stoi", "log_spectral_distance_db")

MEL_SCALES = ((32, 5), (64, 10), (128, 20), (256, 40), (512, 80), (1024, 160), (2048, 320))
MEL_FLOOR = 1e-5
LSD_WINDOW = 2048
POWER_FLOOR = 1e-10


@dataclass(frozen=True)
class Measurement:
    """Metrics by name: `scores`, NaN where one is undefined for the clip, and why it is in `undefined`."""

    scores: dict[str, float]
    undefined: dict[str, str]


def mel_distance(reconstruction: Tensor, audio: Tensor, sample_rate: int) -> float:
    """Return the multi-scale mel distance: lower is better, 0 is equal, speech codecs of 3 to 12 kbps lie near 1 to 3.

    Source: DAC (arXiv 2306.06546, section 3.4), as its training has it: windows of 32 to 2048 samples with 5 to 320
    bands, the L1 distance of log10 magnitudes, summed over the windows. Bad at: phase, and at weighing; what is far
    below the rest of the spectrum counts as much, so a codec of half the bandwidth looks worse than it sounds.
    """
    total = 0.0
    for window_length, num_mels in MEL_SCALES:
        filters = torch.from_numpy(slaney_filterbank(sample_rate, window_length, num_mels)).float()
        signals = (reconstruction, audio)
        logs = [(filters @ _magnitudes(signal, window_length)).clamp_min(MEL_FLOOR).log10() for signal in signals]
        total += float((logs[0] - logs[1]).abs().mean())
    return total


def si_sdr_db(reconstruction: Tensor, audio: Tensor) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB: higher is better, unbounded, above 10 is close.

    Source: Le Roux et al. 2019 (arXiv 1811.02508), after removing each channel's mean. Bad at: judging codecs that
    resynthesise; a shift of one sample ruins it, while ears don't notice.

    Raises:
        UndefinedScore: The original is silent.
    """
    target = (audio - audio.mean(-1, keepdim=True)).double().flatten()
    estimate = (reconstruction - reconstruction.mean(-1, keepdim=True)).double().flatten()
    energy = float(target @ target)
    if energy < POWER_FLOOR:
        raise UndefinedScore("the original is silent")
    projection = float(estimate @ target) / energy * target
    noise = estimate - projection
    ratio = (float(projection @ projection) + POWER_FLOOR) / (float(noise @ noise) + POWER_FLOOR)
    return 10 * math.log10(ratio)


def log_spectral_distance_db(reconstruction: Tensor, audio: Tensor) -> float:
    """Return the log-spectral distance in dB: lower is better, 0 is equal, good codecs lie near 10.

    Source: Gray and Markel 1976, root mean square over bins of 2048-sample frames, mean over frames. Bad at: weighing;
    inaudible bins near silence count as much as loud ones.
    """
    logs = [
        20 * _magnitudes(signal, LSD_WINDOW).clamp_min(math.sqrt(POWER_FLOOR)).log10()
        for signal in (reconstruction, audio)
    ]
    return float((logs[0] - logs[1]).square().mean(-2).sqrt().mean())


def bandwidth_khz(reconstruction: Tensor, audio: Tensor, sample_rate: int) -> float:
    """Return up to which frequency the reconstruction keeps the original's sound: 0 to half the sample rate, in kHz.

    That is where the long-term spectrum falls by 20 dB or more under the original's and stays there, up to where the
    original ends (60 dB under its loudest). Source: ours. Bad at: anything but the band's end; noise fills it too.

    Raises:
        UndefinedScore: The original is silent.
    """
    levels = [_magnitudes(signal, LSD_WINDOW).square().mean((0, 2)) for signal in (reconstruction, audio)]
    got, wanted = (10 * level.clamp_min(POWER_FLOOR).log10() for level in levels)
    if not audio.any():
        raise UndefinedScore("the original is silent")
    kept = torch.nonzero((wanted > wanted.max() - 60) & (got > wanted - 20)).flatten()
    return float(kept[-1]) * sample_rate / LSD_WINDOW / 1000 if len(kept) else 0.0


METRICS: dict[MetricName, Callable[[Tensor, Tensor, int], float]] = {
    "mel_distance": mel_distance,
    "si_sdr_db": lambda reconstruction, audio, _: si_sdr_db(reconstruction, audio),
    "stoi": stoi,
    "log_spectral_distance_db": lambda reconstruction, audio, _: log_spectral_distance_db(reconstruction, audio),
    "bandwidth_khz": bandwidth_khz,
    "pesq": pesq,
    "visqol": visqol,
    "visqol_speech": partial(visqol_in_mode, speech=True),
    "visqol_audio": partial(visqol_in_mode, speech=False),
    "distillmos": distillmos,
}


def measure(
    reconstruction: Tensor, audio: Tensor, sample_rate: int, names: Sequence[MetricName] = OWN_METRICS
) -> Measurement:
    """Score reconstruction [C, T] against audio [C, T] by the metrics called `names`."""
    reconstruction, audio = reconstruction.detach().float().cpu(), audio.detach().float().cpu()
    scores: dict[str, float] = {}
    undefined: dict[str, str] = {}
    for name in names:
        try:
            scores[name] = METRICS[name](reconstruction, audio, sample_rate)
        except UndefinedScore as reason:
            scores[name], undefined[name] = math.nan, str(reason)
    return Measurement(scores, undefined)


def _magnitudes(signal: Tensor, window_length: int) -> Tensor:
    """Return STFT magnitudes [C, F, L], hop a quarter of the window; zeros around the ends, so any length works."""
    window = torch.hann_window(window_length)
    transform = torch.stft(
        signal, window_length, window_length // 4, window=window, pad_mode="constant", return_complex=True
    )
    return transform.abs()
