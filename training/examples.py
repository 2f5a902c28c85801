"""What one step learns from: training audio at a random gain, with noise mixed in where the codec learns to denoise.

Source: SoundStream (arXiv 2107.03312, joint compression and enhancement): triples of input, target and condition. An
item with the condition on is to come out clean; with it off the codec must keep the noise, so the input is the target.
Whether there is noise and whether the condition is on are drawn apart, so clean audio is seen under both, and denoising
learns to leave it alone. Our deviation: noise is scaled to a signal-to-noise ratio over the crop, not from its peak.

Every draw is keyed by the step and made for the joint batch of all ranks (training/keyed_random.py).

Axes: audio, noise, inputs, targets [B, C, T]; denoise [B].
"""

from __future__ import annotations

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


def apply_gain(examples: Examples, config: AugmentationConfig, seed: int, step: int) -> Examples:
    """Scale inputs and targets of each item by one random gain that clips neither."""
    low, high = config.min_gain_db, config.max_gain_db
    gain = 10 ** ((low + (high - low) * _draws(examples.inputs, seed, "gain", step)) / 20)
    peak = torch.maximum(examples.inputs.abs(), examples.targets.abs()).amax((1, 2)).clamp_min(1e-3)
    gain = torch.minimum(gain, PEAK_AFTER_GAIN / peak)[:, None, None]
    return Examples(inputs=examples.inputs * gain, targets=examples.targets * gain, denoise=examples.denoise)


def _draws(audio: Tensor, seed: int, purpose: str, step: int) -> Tensor:
    """Return a uniform draw [B] for each item."""
    return joint_uniform(len(audio), keyed_generator(seed, purpose, step)).to(audio.device)


def _rms(audio: Tensor) -> Tensor:
    """Return the root mean square [B] of each item of audio [B, C, T]."""
    return audio.square().mean((1, 2)).sqrt()
