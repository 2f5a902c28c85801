"""Audio in blocks, for files longer than memory: resample, cut to length, write.

`soxr`'s stream gives the samples of its one-shot call bit for bit, so a file in blocks is coded as it is whole.

Axes: blocks are float32 [C, n], n as it comes.
"""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from codec.audio import SOUNDFILE_SUFFIXES, file_format, resampled_length
from codec.channel_layout import mask_of_layout
from codec.errors import AudioError
from codec.files import atomic_path
from codec.metadata import Metadata
from codec.tags import write_tags

Blocks = Iterable[NDArray[np.float32]]
# What a plain wav file's 32-bit sizes can count, less room for headers; from here on it is written as RF64.
MAX_WAV_BYTES = 2**32 - 2**16
WAV_SAMPLE_BYTES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}
# Where the channel mask stands in a WAVE_FORMAT_EXTENSIBLE file of libsndfile's.
_MASK_OFFSET = 40


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


def write_blocks(
    path: Path,
    blocks: Blocks,
    *,
    sample_rate: int,
    channels: int,
    num_samples: int,
    metadata: Metadata | None = None,
) -> None:
    """Write atomically, in the format of the suffix, as `codec.audio.write_audio` does; a huge wav becomes RF64.

    Of `metadata`, tags go into the file, and the layout of a wav's channels, as far as the format has room for them.

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
            metadata=metadata,
        )


def write_blocks_as(
    format: str,
    target: Path | BinaryIO,
    blocks: Blocks,
    *,
    sample_rate: int,
    channels: int,
    num_samples: int,
    subtype: str | None = None,
    metadata: Metadata | None = None,
) -> None:
    """Write to a file, whatever it is called or in memory, in a format named as a suffix without its dot.

    `subtype` is as libsndfile names it (`PCM_16`, `FLOAT`). A huge wav becomes RF64. `metadata` are as in
    `write_blocks`.

    Raises:
        AudioError: The format lacks that sample rate, number of channels or subtype.
    """
    container, usual = file_format(format)
    subtype = subtype or usual
    if container == "WAV" and num_samples * channels * WAV_SAMPLE_BYTES[subtype or "PCM_16"] > MAX_WAV_BYTES:
        container = "RF64"
    mask = None if metadata is None or container != "WAV" else mask_of_layout(metadata.channel_layout, channels)
    container = container if mask is None else "WAVEX"
    try:
        file = soundfile.SoundFile(target, "w", sample_rate, channels, subtype, format=container)
    except (soundfile.LibsndfileError, ValueError) as error:
        raise _unwritable(format, sample_rate, error) from None
    with file:
        if metadata is not None:
            write_tags(file, metadata.tags)
        for block in blocks:
            try:
                file.write(block.T)
            except soundfile.LibsndfileError as error:
                raise _unwritable(format, sample_rate, error) from None
    if mask is not None:
        _write_mask(target, mask)


def _write_mask(target: Path | BinaryIO, mask: int) -> None:
    """Set the mask of a WAVE_FORMAT_EXTENSIBLE file, for which libsndfile chooses one by the number of channels."""
    with target.open("r+b") if isinstance(target, Path) else contextlib.nullcontext(target) as file:
        file.seek(_MASK_OFFSET)
        file.write(mask.to_bytes(4, "little"))


def _unwritable(format: str, sample_rate: int, error: Exception) -> AudioError:
    reason = getattr(error, "error_string", str(error)).rstrip(".")
    return AudioError(f"can't write {format} at {sample_rate} Hz: {reason}")
