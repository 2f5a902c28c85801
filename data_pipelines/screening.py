"""Screening: which files are fit to train on, and the named reason for each that is not.

What is measured, on the samples as decoded, before any resampling:

- silence: after the channel rule, no 0.1 s block is louder than -60 dB RMS (full scale is 0 dB)
- clipping: more than 0.5 % of all samples lie in flat runs of 3 or more at the file's own peak, above half scale

The channel rule: for mono data, stereo is mixed down by the mean (anti-phase stereo thus becomes silence); for stereo
data only stereo will do.

Axes: float32 [C, T]; int16 PCM [T, C], interleaved.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from codec.audio import Audio, AudioInfo, AudioLimits, probe_audio, read_audio, resample, resampled_length
from codec.errors import AudioError, LimitError, MissingToolError

REASONS = {
    "unreadable": "the file can't be opened (permissions, or it vanished)",
    "undecodable": "it is not audio, or it is damaged",
    "needs_m4a_extra": "m4a, aac and webm need the package 'av': pip install 'nacre[m4a]', then build again",
    "non_finite": "it holds NaN or infinity",
    "wrong_channels": "mono data takes 1 or 2 channels, stereo data exactly 2",
    "wrong_sample_rate": "its sample rate is below 4 kHz or above 384 kHz",
    "too_short": "it is shorter than 0.25 s",
    "too_long": "it is longer than 2 h: cut it first",
    "silence": "nothing in it is louder than -60 dB",
    "clipping": "more than 0.5 % of it is clipped",
    "duplicate": "the same bytes are in another file",
    "held_out": "it is one of the clips that models are judged by",
}
LIMITS = AudioLimits(max_seconds=2 * 3600.0)
MIN_SECONDS = 0.25
SILENCE_RMS = 10 ** (-60 / 20)
SILENCE_BLOCKS_PER_SECOND = 10
CLIPPED_SHARE = 0.005
# A plateau is this near the peak, lasts this many samples, and lies above this level.
PLATEAU_NEARNESS = 0.9999
PLATEAU_SAMPLES = 3
PLATEAU_LEVEL = 0.5
_ANY = AudioLimits(max_seconds=1e12, max_channels=1 << 16, min_sample_rate=1, max_sample_rate=1 << 31)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What screening found: `num_samples` counts at the data set's rate; `reason` is None for a file that passed.

    What could not be learned (the channels of a file that does not decode) is None.
    """

    sha256: str | None
    seconds: float | None = None
    sample_rate: int | None = None
    channels: int | None = None
    num_samples: int = 0
    reason: str | None = None


def screen_file(path: Path, *, sample_rate: int, channels: int) -> Verdict:
    """Decode one file and judge it for data at `sample_rate` with `channels`; bad input is a verdict, no error."""
    try:
        sha256 = file_sha256(path)
    except OSError:
        return Verdict(sha256=None, reason="unreadable")
    try:
        info = probe_audio(path, _ANY)
    except MissingToolError:
        return Verdict(sha256=sha256, reason="needs_m4a_extra")
    except AudioError:
        return Verdict(sha256=sha256, reason="undecodable")
    claimed = Verdict(sha256=sha256, sample_rate=info.sample_rate, channels=info.channels)
    reason = _header_reason(info, channels)
    if reason is not None:
        return replace(claimed, seconds=round(info.seconds, 6), reason=reason)
    try:
        audio = read_audio(path, LIMITS)
    except AudioError as error:
        return replace(claimed, reason=_decoding_reason(path, info, error))
    return replace(
        claimed,
        seconds=round(audio.seconds, 6),
        num_samples=resampled_length(audio.num_samples, audio.sample_rate, sample_rate),
        reason=screen_audio(audio, channels),
    )


def screen_audio(audio: Audio, channels: int) -> str | None:
    """Name the reason to reject decoded audio, or None."""
    if audio.seconds < MIN_SECONDS:
        return "too_short"
    if _loudest_rms(fit_channels(audio, channels)) < SILENCE_RMS:
        return "silence"
    if clipped_share(audio.samples) > CLIPPED_SHARE:
        return "clipping"
    return None


def clipped_share(samples: NDArray[np.float32]) -> float:
    """Return the share of [C, T] that lies on plateaus at the peak."""
    level = np.minimum(np.abs(samples), 1.0)
    peak = float(level.max())
    if peak < PLATEAU_LEVEL:
        return 0.0
    at_peak = level >= peak * PLATEAU_NEARNESS
    edges = np.diff(np.pad(at_peak, ((0, 0), (1, 1))).astype(np.int8), axis=1).ravel()
    lengths = np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)
    return int(lengths[lengths >= PLATEAU_SAMPLES].sum()) / samples.size


def fit_channels(audio: Audio, channels: int) -> Audio:
    """Mix down to mono by the mean where the data is mono; else leave as it is."""
    if channels == 1 and audio.channels > 1:
        return Audio(samples=audio.samples.mean(axis=0, keepdims=True), sample_rate=audio.sample_rate)
    return audio


def read_pcm(path: Path, *, sample_rate: int, channels: int) -> NDArray[np.int16]:
    """Decode a file that passed into int16 [T, C] at `sample_rate`; 16-bit sources at that rate come back exactly."""
    audio = resample(fit_channels(read_audio(path, LIMITS), channels), sample_rate)
    pcm: NDArray[np.int16] = np.clip(np.rint(audio.samples.T * 32768.0), -32768, 32767).astype("<i2")
    return pcm


def file_sha256(path: Path) -> str:
    """Hash a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _header_reason(info: AudioInfo, channels: int) -> str | None:
    allowed = (1, 2) if channels == 1 else (channels,)
    if info.channels not in allowed:
        return "wrong_channels"
    if not LIMITS.min_sample_rate <= info.sample_rate <= LIMITS.max_sample_rate:
        return "wrong_sample_rate"
    return "too_long" if info.seconds > LIMITS.max_seconds else None


def _decoding_reason(path: Path, info: AudioInfo, error: AudioError) -> str:
    if isinstance(error, LimitError):
        return "too_long"
    if _holds_non_finite(path):
        return "non_finite"
    return "too_short" if info.num_samples == 0 else "undecodable"


def _holds_non_finite(path: Path) -> bool:
    try:
        blocks = soundfile.blocks(os.fsencode(path), 1 << 16, dtype="float32")
        return any(not np.isfinite(block).all() for block in blocks)
    except (soundfile.SoundFileError, OSError, TypeError, ValueError):
        return False


def _loudest_rms(audio: Audio) -> float:
    block = max(1, audio.sample_rate // SILENCE_BLOCKS_PER_SECOND)
    power = np.square(audio.samples, dtype=np.float64).mean(axis=0)
    starts = np.arange(0, len(power), block)
    sizes = np.minimum(block, len(power) - starts)
    return float(np.sqrt((np.add.reduceat(power, starts) / sizes).max()))
