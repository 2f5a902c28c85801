"""Audio files: probe, read, resample, write.

wav, flac, mp3, ogg, opus, aiff and caf go through libsndfile (`soundfile`); m4a, aac and webm through ffmpeg's
libraries (codec/av_audio.py). Every claim a file makes about itself is checked against `AudioLimits`
before memory is taken, and reading stops at the limit whatever the header said.

Axes: samples are float32 [C, T], PCM in [-1, 1]; C channels, T samples.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from codec.av_audio import av_blocks, av_facts
from codec.errors import AudioError, LimitError
from codec.files import atomic_path
from codec.shielded import Shielded

SOUNDFILE_SUFFIXES = frozenset(
    {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aiff", ".aif", ".caf", ".w64", ".au"}
)
AV_SUFFIXES = frozenset({".m4a", ".mp4", ".aac", ".webm", ".wma"})
AUDIO_SUFFIXES = SOUNDFILE_SUFFIXES | AV_SUFFIXES
BLOCK_SAMPLES = 1 << 16

Source = Path | BinaryIO


@dataclass(frozen=True, kw_only=True)
class AudioLimits:
    """The largest audio that will be decoded."""

    max_seconds: float = 6 * 3600.0
    max_channels: int = 8
    min_sample_rate: int = 4_000
    max_sample_rate: int = 384_000


@dataclass(frozen=True, kw_only=True)
class AudioInfo:
    """What a file says of itself. `num_samples` is per channel and may be an estimate for mp3."""

    sample_rate: int
    channels: int
    num_samples: int
    format: str

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.num_samples / self.sample_rate


@dataclass(frozen=True, kw_only=True)
class Audio:
    """Decoded audio: `samples` float32 [C, T] at `sample_rate` Hz."""

    samples: NDArray[np.float32]
    sample_rate: int

    @property
    def channels(self) -> int:
        """Number of channels, C."""
        return int(self.samples.shape[0])

    @property
    def num_samples(self) -> int:
        """Samples per channel, T."""
        return int(self.samples.shape[1])

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.num_samples / self.sample_rate


def probe_audio(source: Source, limits: AudioLimits | None = None) -> AudioInfo:
    """Read a file's header.

    Raises:
        AudioError: It is not audio that we can decode.
        LimitError: It claims to be larger than `limits` allow.
        MissingToolError: It needs the optional extra `m4a`.
    """
    if _needs_av(source):
        info = AudioInfo(**av_facts(source, _name(source)))
    else:
        with _open_soundfile(source) as file:
            info = _soundfile_info(file)
    _check(info, limits or AudioLimits(), source)
    return info


def read_audio(source: Source, limits: AudioLimits | None = None) -> Audio:
    """Decode a whole file, at its own sample rate and with its own channels.

    Raises:
        AudioError: It is not audio, holds no samples, or holds samples that are not finite.
        LimitError: It is larger than `limits` allow.
        MissingToolError: It needs the optional extra `m4a`.
    """
    info, blocks = read_blocks(source, limits)
    return Audio(samples=np.concatenate(list(blocks), axis=1), sample_rate=info.sample_rate)


def read_blocks(source: Source, limits: AudioLimits | None = None) -> tuple[AudioInfo, Iterator[NDArray[np.float32]]]:
    """Probe a file, and decode it in blocks [C, n], at its own sample rate and with its own channels.

    Raises:
        AudioError: It is not audio; and while iterating, it holds no samples, or some that are not finite.
        LimitError: It is larger than `limits` allow; also while iterating.
        MissingToolError: It needs the optional extra `m4a`.
    """
    limits = limits or AudioLimits()
    info, blocks = _open_blocks(source, limits)
    return info, _checked(blocks, int(limits.max_seconds * info.sample_rate), limits, source)


def _checked(
    blocks: Iterator[NDArray[np.float32]], most: int, limits: AudioLimits, source: Source
) -> Iterator[NDArray[np.float32]]:
    total = 0
    for block in blocks:
        total += block.shape[1]
        if total > most:
            raise LimitError(f"{_name(source)} is longer than the {limits.max_seconds:g} s allowed")
        if not np.isfinite(block).all():
            raise AudioError(f"{_name(source)} holds samples that are not finite (NaN or infinity)")
        yield block
    if total == 0:
        raise AudioError(f"{_name(source)} holds no samples")


def resampled_length(num_samples: int, from_hz: int, to_hz: int) -> int:
    """Return `ceil(num_samples * to_hz / from_hz)`, in integer arithmetic."""
    return -(-num_samples * to_hz // from_hz)


def resample(audio: Audio, sample_rate: int) -> Audio:
    """Resample with soxr (HQ); the result has exactly `resampled_length` samples."""
    if audio.sample_rate == sample_rate:
        return audio
    length = resampled_length(audio.num_samples, audio.sample_rate, sample_rate)
    samples = soxr.resample(audio.samples.T, audio.sample_rate, sample_rate, quality="HQ").T
    return Audio(samples=fit_length(np.asarray(samples, np.float32), length), sample_rate=sample_rate)


def fit_length(samples: NDArray[np.float32], num_samples: int) -> NDArray[np.float32]:
    """Cut or zero-pad [C, T] at its end to `num_samples`."""
    missing = num_samples - samples.shape[1]
    if missing > 0:
        samples = np.pad(samples, ((0, 0), (0, missing)))
    return np.ascontiguousarray(samples[:, :num_samples])


def write_audio(path: Path, audio: Audio, subtype: str | None = None) -> None:
    """Write atomically, in the format of the suffix; `subtype` as libsndfile names it (`PCM_16`, `FLOAT`).

    Raises:
        AudioError: The suffix names no format that we can write.
    """
    if path.suffix.lower() not in SOUNDFILE_SUFFIXES:
        raise AudioError(f"can't write '{path.name}': use one of .wav, .flac, .ogg, .opus or .mp3")
    with atomic_path(path) as temporary:
        data = audio_bytes(audio, path.suffix[1:].lower(), subtype)
        temporary.write_bytes(data)


def audio_bytes(audio: Audio, format: str, subtype: str | None = None) -> bytes:
    """Encode as a file in memory; `format` is a suffix without its dot."""
    container, usual = file_format(format)
    buffer = io.BytesIO()
    try:
        soundfile.write(buffer, audio.samples.T, audio.sample_rate, format=container, subtype=subtype or usual)
    except (soundfile.LibsndfileError, ValueError) as error:
        reason = getattr(error, "error_string", str(error))
        raise AudioError(f"can't write {format} at {audio.sample_rate} Hz: {reason}") from None
    return buffer.getvalue()


def file_format(suffix: str) -> tuple[str, str | None]:
    """Return libsndfile's names of the format of a suffix without its dot: container, and subtype if not its own."""
    container = {"oga": "OGG", "opus": "OGG", "aif": "AIFF"}.get(suffix, suffix.upper())
    return container, "OPUS" if suffix == "opus" else None


def _open_blocks(source: Source, limits: AudioLimits) -> tuple[AudioInfo, Iterator[NDArray[np.float32]]]:
    """Probe, check, and return the info with an iterator over [C, n] blocks."""
    info = probe_audio(source, limits)
    if not isinstance(source, Path):
        source.seek(0)
    if _needs_av(source):
        return info, av_blocks(source, info.sample_rate, _name(source))
    return info, _soundfile_blocks(source)


def _check(info: AudioInfo, limits: AudioLimits, source: Source) -> None:
    name = _name(source)
    if not limits.min_sample_rate <= info.sample_rate <= limits.max_sample_rate:
        rule = f"{limits.min_sample_rate} to {limits.max_sample_rate} Hz"
        raise LimitError(f"{name} has a sample rate of {info.sample_rate} Hz; allowed are {rule}")
    if not 1 <= info.channels <= limits.max_channels:
        raise LimitError(f"{name} has {info.channels} channels; allowed are 1 to {limits.max_channels}")
    if info.seconds > limits.max_seconds:
        raise LimitError(f"{name} is {info.seconds:.0f} s long; allowed are {limits.max_seconds:g} s")


def _name(source: Source) -> str:
    return f"'{source.name}'" if isinstance(source, Path) else "the audio"


def _needs_av(source: Source) -> bool:
    if isinstance(source, Path):
        return source.suffix.lower() in AV_SUFFIXES
    position = source.tell()
    head = source.read(12)
    source.seek(position)
    return head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3"


@contextlib.contextmanager
def _open_soundfile(source: Source) -> Iterator[soundfile.SoundFile]:
    """Open with libsndfile; at the end, check that all that was asked for could be read."""
    shielded = None if isinstance(source, Path) else Shielded(source)
    try:
        file = soundfile.SoundFile(os.fsencode(source) if isinstance(source, Path) else shielded)
    except soundfile.LibsndfileError as error:
        _check_read(shielded, source)
        reason = error.error_string.rstrip(".")
        raise AudioError(f"{_name(source)} is not audio that can be decoded ({reason})") from None
    except (OSError, TypeError, ValueError) as error:
        raise AudioError(f"{_name(source)} can't be opened as audio ({error})") from None
    with file:
        yield file
    _check_read(shielded, source)


def _check_read(shielded: Shielded | None, source: Source) -> None:
    if shielded is not None and shielded.error is not None:
        raise AudioError(f"{_name(source)} can't be read ({shielded.error})") from shielded.error


def _soundfile_info(file: soundfile.SoundFile) -> AudioInfo:
    return AudioInfo(
        sample_rate=file.samplerate,
        channels=file.channels,
        num_samples=file.frames,
        format=file.format.lower(),
    )


def _soundfile_blocks(source: Source) -> Iterator[NDArray[np.float32]]:
    with _open_soundfile(source) as file:
        while True:
            try:
                block = file.read(BLOCK_SAMPLES, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                reason = error.error_string.rstrip(".")
                raise AudioError(f"{_name(source)} is damaged: decoding stopped ({reason})") from None
            if len(block) == 0:
                return
            yield block.T
