"""Audio and containers as callers have them: bytes, a path, or an array; and an array as a wav file."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable

    from numpy.typing import NDArray

    # A file's bytes, or its path.
    File = bytes | str | os.PathLike[str]
    # A file, or samples [T] or [channels, T]: floats in [-1, 1], or 16-bit integers.
    Sound = File | NDArray[Any]

Source = TypeVar("Source", bound="Iterable[bytes] | AsyncIterable[bytes]")
_MAX_CHANNELS = 255


def sound_bytes(sound: Sound, sample_rate: int | None) -> bytes:
    """Return a file's bytes; `sample_rate` is for arrays, and only for them.

    Raises:
        ValueError: An array has no rate or something else has one, or an array's shape or type is none of audio.
    """
    if isinstance(sound, bytes | str | os.PathLike):
        if sample_rate is not None:
            raise ValueError("sample_rate is for arrays: a file knows its own")
        return file_bytes(sound)
    if sample_rate is None:
        raise ValueError("an array needs its sample_rate")
    return wav_bytes(sound, sample_rate)


def file_bytes(file: File) -> bytes:
    """Return bytes as they are, or what the file holds."""
    return file if isinstance(file, bytes) else Path(file).read_bytes()


def upload_of(sound: Sound, sample_rate: int | None) -> bytes | Path:
    """Return a file's bytes, or its path if it has one, so that it need not be held. Raises what `sound_bytes` does."""
    if isinstance(sound, str | os.PathLike) and sample_rate is None:
        return Path(sound)
    return sound_bytes(sound, sample_rate)


def source_of(data: File | Source) -> Source | list[bytes]:
    """Return what a stream sends: the file's bytes, or whatever gives bytes piece by piece."""
    return [file_bytes(data)] if isinstance(data, bytes | str | os.PathLike) else data


def wav_bytes(samples: NDArray[Any], sample_rate: int) -> bytes:
    """Return a wav file of samples [T] or [channels, T]: of 16-bit integers as they are, otherwise of 32-bit floats.

    Raises:
        ValueError: The shape or the type is none of audio.
    """
    import numpy as np
    import soundfile

    channels = samples if samples.ndim == 2 else samples[None]
    if samples.ndim not in (1, 2) or not 1 <= len(channels) <= _MAX_CHANNELS:
        raise ValueError(f"samples have shape {samples.shape}: give [T] or [channels, T]")
    if samples.dtype != np.int16 and not np.issubdtype(samples.dtype, np.floating):
        raise ValueError(f"samples are {samples.dtype}: give floats in [-1, 1], or int16")
    subtype, dtype = ("PCM_16", np.int16) if samples.dtype == np.int16 else ("FLOAT", np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, channels.T.astype(dtype), sample_rate, format="WAV", subtype=subtype)
    return buffer.getvalue()
