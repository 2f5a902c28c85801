"""What a model must do before it gets traffic: code a second of sound twice alike, and decode it to finite audio."""

from __future__ import annotations

import torch

from codec.audio import Audio
from codec.compress import compress, decompress
from codec.errors import PackageError
from codec.weights import LoadedPackage


def check_model(model: LoadedPackage) -> None:
    """Send a second of a rising tone in noise through `model` and back.

    Raises:
        PackageError: It fails, gives other codes the second time, or audio that is silent, not finite or too short.
    """
    config = model.package.config
    audio = Audio(samples=_sound(config.channels, config.sample_rate).numpy(), sample_rate=config.sample_rate)
    try:
        container = compress(model, audio)
        same = compress(model, audio) == container
        decoded = decompress(model, container).samples
    except Exception as error:
        raise PackageError(f"'{config.name}' failed its self-test: {error}") from error
    if not same:
        raise PackageError(f"'{config.name}' failed its self-test: the same audio gave other codes")
    heard = torch.from_numpy(decoded)
    if decoded.shape != audio.samples.shape or not heard.isfinite().all() or not heard.any():
        raise PackageError(f"'{config.name}' failed its self-test: what it decodes is silent, not finite or too short")


def _sound(channels: int, sample_rate: int) -> torch.Tensor:
    """Return [channels, sample_rate]."""
    seconds = torch.arange(sample_rate, dtype=torch.float64) / sample_rate
    tone = torch.sin(2 * torch.pi * (200 * seconds + 400 * seconds**2))
    noise = torch.randn(channels, sample_rate, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (0.2 * tone + 0.02 * noise).float()
