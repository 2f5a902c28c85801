"""The worst seconds of a file, to hear and to see, original and decoded: small enough to go into a page.

Axes: samples [C, T].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codec.audio import Audio, audio_bytes, resample
from serving.transcode.verify.spectrogram import loudness, spectrogram_png

EXCERPT_SECONDS = 5.0
MAX_RATE = 48_000
# How finely the worst place is looked for.
_STEP_SECONDS = 0.25


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """Both signals as FLAC and as PNG; they begin at `start_s` of the file."""

    start_s: float
    seconds: float
    original_flac: bytes
    decoded_flac: bytes
    original_png: bytes
    decoded_png: bytes

    @property
    def num_bytes(self) -> int:
        """What it takes."""
        return len(self.original_flac) + len(self.decoded_flac) + len(self.original_png) + len(self.decoded_png)


def make_excerpt(original: Audio, decoded: Audio, start_s: float) -> Excerpt:
    """Return the worst few seconds of two signals that are a window of a file, from `start_s` on."""
    rate, length = original.sample_rate, min(original.num_samples, decoded.num_samples)
    first = _worst_sample(original, decoded, length)
    last = min(length, first + round(EXCERPT_SECONDS * rate))
    pair = [_heard(Audio(samples=audio.samples[:, first:last], sample_rate=rate)) for audio in (original, decoded)]
    levels = [loudness(audio.samples, audio.sample_rate) for audio in pair]
    loudest = float(max(level.max() for level in levels))
    flacs = [audio_bytes(audio, "flac", "PCM_16") for audio in pair]
    return Excerpt(
        start_s=start_s + first / rate,
        seconds=(last - first) / rate,
        original_flac=flacs[0],
        decoded_flac=flacs[1],
        original_png=spectrogram_png(levels[0], loudest),
        decoded_png=spectrogram_png(levels[1], loudest),
    )


def _worst_sample(original: Audio, decoded: Audio, length: int) -> int:
    """Return where the stretch with the most distortion begins."""
    step = max(1, round(_STEP_SECONDS * original.sample_rate))
    steps = max(1, round(EXCERPT_SECONDS / _STEP_SECONDS))
    count = length // step
    if count <= steps:
        return 0
    difference = original.samples[:, : count * step] - decoded.samples[:, : count * step]
    distortion = np.square(difference, dtype=np.float64).reshape(-1, count, step).sum(axis=(0, 2))
    sums = np.convolve(distortion, np.ones(steps), "valid")
    return int(sums.argmax()) * step


def _heard(audio: Audio) -> Audio:
    """Return what any browser plays: at most two channels, and no more than its loudspeakers' rate."""
    samples = audio.samples if audio.channels <= 2 else audio.samples.mean(axis=0, keepdims=True)
    plain = Audio(samples=np.clip(samples, -1, 1), sample_rate=audio.sample_rate)
    return resample(plain, min(audio.sample_rate, MAX_RATE))
