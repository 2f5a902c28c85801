"""Audio in blocks, for files longer than memory: resample, cut to length, write.

`soxr`'s stream gives the samples of its one-shot call bit for bit, so a file in blocks is coded as it is whole.

Axes: blocks are float32 [C, n], n as it comes.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from codec.audio import SOUNDFILE_SUFFIXES, file_format, resampled_length
from codec.errors import AudioError
from codec.files import atomic_path

Blocks = Iterable[NDArray[np.float32]]
# What a plain wav file's 32-bit sizes can count, less room for headers; from here on it is written as RF64.
MAX_WAV_BYTES = 2**32 - 2**16
WAV_SAMPLE_BYTES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}


def resample_blocks(blocks: Blocks, from_hz: int, to_hz: int) -> Iterator[NDArray[np.float32]]:
    """Resample as `codec.audio.resample` does; all blocks together have exactly `resampled_length` samples."""
    if from_hz == to_hz:
        yield from blocks
        return
    stream: soxr.ResampleStream | None = None
    channels = taken = given = 0
    for block in blocks:
        if stream is None:
            channels = block.shape[0]
            stream = soxr.ResampleStream(from_hz, to_hz, channels, dtype="float32", quality="HQ")
        taken += block.shape[1]
        part = stream.resample_chunk(np.ascontiguousarray(block.T).reshape(-1, channels)).T
        given += part.shape[1]
        if part.shape[1]:
            yield part
    if stream is None:
        return
    last = stream.resample_chunk(np.empty((0, channels), np.float32), last=True).T
    yield from fit_blocks([last], resampled_length(taken, from_hz, to_hz) - given)


def fit_blocks(blocks: Blocks, num_samples: int) -> Iterator[NDArray[np.float32]]:
    """Cut or zero-pad blocks, of which there is at least one, at their end to `num_samples` in all."""
    channels = 0
    for block in blocks:
        channels = block.shape[0]
        part = block[:, :num_samples]
        num_samples -= part.shape[1]
        if part.shape[1]:
            yield part
    if num_samples > 0:
        yield np.zeros((channels, num_samples), np.float32)


def write_blocks(path: Path, blocks: Blocks, *, sample_rate: int, channels: int, num_samples: int) -> None:
    """Write atomically, in the format of the suffix, as `codec.audio.write_audio` does; a huge wav becomes RF64.

    Raises:
        AudioError: The suffix names no format that we can write, or the format lacks that sample rate.
    """
    if path.suffix.lower() not in SOUNDFILE_SUFFIXES:
        raise AudioError(f"can't write '{path.name}': use one of .wav, .flac, .ogg, .opus or .mp3")
    with atomic_path(path) as temporary:
        write_blocks_as(
            path.suffix[1:].lower(),
            temporary,
            blocks,
            sample_rate=sample_rate,
            channels=channels,
            num_samples=num_samples,
        )


def write_blocks_as(
    format: str,
    path: Path,
    blocks: Blocks,
    *,
    sample_rate: int,
    channels: int,
    num_samples: int,
    subtype: str | None = None,
) -> None:
    """Write to `path`, whatever it is called, in a format named as a suffix without its dot.

    `subtype` is as libsndfile names it (`PCM_16`, `FLOAT`). A huge wav becomes RF64.

    Raises:
        AudioError: The format lacks that sample rate, number of channels or subtype.
    """
    container, usual = file_format(format)
    subtype = subtype or usual
    if container == "WAV" and num_samples * channels * WAV_SAMPLE_BYTES[subtype or "PCM_16"] > MAX_WAV_BYTES:
        container = "RF64"
    try:
        file = soundfile.SoundFile(path, "w", sample_rate, channels, subtype, format=container)
    except (soundfile.LibsndfileError, ValueError) as error:
        raise _unwritable(format, sample_rate, error) from None
    with file:
        for block in blocks:
            try:
                file.write(block.T)
            except soundfile.LibsndfileError as error:
                raise _unwritable(format, sample_rate, error) from None


def _unwritable(format: str, sample_rate: int, error: Exception) -> AudioError:
    reason = getattr(error, "error_string", str(error)).rstrip(".")
    return AudioError(f"can't write {format} at {sample_rate} Hz: {reason}")
