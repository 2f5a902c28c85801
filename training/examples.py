"""What one step learns from: training audio at random phase and gain, with noise where the codec learns to denoise.

Source: SoundStream (arXiv 2107.03312, joint compression and enhancement): triples of input, target and condition. An
item with the condition on is to come out clean; with it off the codec must keep the noise, so the input is the target.
Whether there is noise and whether the condition is on are drawn apart, so clean audio is seen under both, and denoising
learns to leave it alone. Our deviation: noise is scaled to a signal-to-noise ratio over the crop, not from its peak.
Phase rotation and level: DAC's released recipe (arXiv 2306.06546), `ShiftPhase` and `VolumeNorm`. Our deviations: one
transform of the whole crop, which keeps its length, and a root mean square rather than a loudness.

Every draw is keyed by the step and made for the joint batch of all ranks (training/keyed_random.py).

Axes: audio, noise, inputs, targets [B, C, T]; denoise [B].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.config import AugmentationConfig, DenoisingConfig
from training.keyed_random import joint_uniform, keyed_generator

PEAK_AFTER_GAIN = 0.95
# Below this root mean square a signal counts as silence, and nothing is scaled to or by it.
SILENCE_RMS = 1e-5


@dataclass(frozen=True)
class Examples:
    """`inputs` to encode, `targets` to be heard, and for a codec that can denoise, which items are asked to."""

    inputs: Tensor
    targets: Tensor
    denoise: Tensor | None = None


def add_noise(audio: Tensor, noise: Tensor, snr_db: Tensor) -> Tensor:
    """Return audio [B, C, T] with noise [B, C, T] added at the ratios [B] in dB; silence adds nothing."""
    scale = torch.where(_rms(noise) > SILENCE_RMS, _rms(audio) / _rms(noise), 0)
    return audio + noise * (scale * 10 ** (-snr_db / 20))[:, None, None]


def mix_noise(audio: Tensor, noise: Tensor, config: DenoisingConfig, seed: int, step: int) -> Examples:
    """Mix noise into a share of audio [B, C, T], and ask a share of the items to be denoised.

    Silent audio stays silent: a ratio to it means nothing.
    """
    low, high = config.min_snr_db, config.max_snr_db
    mixed = add_noise(audio, noise, low + (high - low) * _draws(audio, seed, "snr", step))
    noisy = _draws(audio, seed, "noisy", step) < config.noisy_share
    denoise = _draws(audio, seed, "denoise", step) < config.denoise_share
    inputs = torch.where(noisy[:, None, None], mixed, audio)
    return Examples(inputs=inputs, targets=torch.where(denoise[:, None, None], audio, inputs), denoise=denoise)


def vary_phase(examples: Examples, config: AugmentationConfig, seed: int, step: int) -> Examples:
    """Flip the polarity of a share of items and rotate the phase of a share, of inputs and targets alike."""
    inputs, targets = examples.inputs, examples.targets
    if config.rotation_share > 0:
        rotated = _draws(inputs, seed, "rotated", step) < config.rotation_share
        angle = 2 * math.pi * _draws(inputs, seed, "rotation", step)
        keep = ~rotated[:, None, None]
        inputs = torch.where(keep, inputs, rotate_phase(inputs, angle))
        targets = torch.where(keep, targets, rotate_phase(targets, angle))
    if config.flip_share > 0:
        flipped = _draws(inputs, seed, "flip", step) < config.flip_share
        sign = torch.where(flipped, -1.0, 1.0)[:, None, None]
        inputs, targets = inputs * sign, targets * sign
    return Examples(inputs=inputs, targets=targets, denoise=examples.denoise)


def rotate_phase(audio: Tensor, angle: Tensor) -> Tensor:
    """Turn every partial of audio [B, C, T] by its item's angle [B]: new waveforms of the same spectra and length.

    The crop counts as periodic. Its mean, which has no phase, is scaled by the cosine.
    """
    spectrum = torch.fft.rfft(audio) * torch.polar(torch.ones_like(angle), angle)[:, None, None]
    rotated: Tensor = torch.fft.irfft(spectrum, n=audio.shape[-1])
    return rotated


def apply_gain(examples: Examples, config: AugmentationConfig, seed: int, step: int) -> Examples:
    """Scale inputs and targets of each item by one random gain that clips neither, from one level if there is one."""
    low, high = config.min_gain_db, config.max_gain_db
    gain = 10 ** ((low + (high - low) * _draws(examples.inputs, seed, "gain", step)) / 20)
    if config.level_dbfs is not None:
        rms = _rms(examples.inputs)
        gain = gain * torch.where(rms > SILENCE_RMS, 10 ** (config.level_dbfs / 20) / rms, 1)
    peak = torch.maximum(examples.inputs.abs(), examples.targets.abs()).amax((1, 2)).clamp_min(1e-3)
    gain = torch.minimum(gain, PEAK_AFTER_GAIN / peak)[:, None, None]
    return Examples(inputs=examples.inputs * gain, targets=examples.targets * gain, denoise=examples.denoise)


def _draws(audio: Tensor, seed: int, purpose: str, step: int) -> Tensor:
    """Return a uniform draw [B] for each item."""
    return joint_uniform(len(audio), keyed_generator(seed, purpose, step)).to(audio.device)


def _rms(audio: Tensor) -> Tensor:
    """Return the root mean square [B] of each item of audio [B, C, T]."""
    return audio.square().mean((1, 2)).sqrt()
