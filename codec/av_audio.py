"""Audio in the formats that ffmpeg's libraries read (`av`, the optional extra `m4a`): its facts, and its blocks.

Axes: blocks are float32 [C, n], n as it comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from codec.errors import AudioError, MissingToolError


def av_facts(source: Path | BinaryIO, name: str) -> dict[str, Any]:
    """Return the `sample_rate`, `channels`, `num_samples`, about, and `format` of a file called `name` in messages.

    Raises:
        AudioError: It is not audio that can be decoded.
        MissingToolError: `av` is not installed.
    """
    with _open(source, name) as container:
        if not container.streams.audio:
            raise AudioError(f"{name} holds no audio stream")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise AudioError(f"{name} holds audio of a codec that isn't known")
        seconds = container.duration / 1_000_000 if container.duration else 0.0
        return {
            "sample_rate": stream.rate or 0,
            "channels": stream.channels,
            "num_samples": round(seconds * (stream.rate or 0)),
            "format": container.format.name,
        }


def av_blocks(source: Path | BinaryIO, sample_rate: int, name: str) -> Iterator[NDArray[np.float32]]:
    """Decode in blocks, all of them at a sample rate, though a stream may change its own.

    Raises:
        AudioError: It is damaged; also while iterating.
        MissingToolError: `av` is not installed.
    """
    import av

    with _open(source, name) as container:
        resampler = av.AudioResampler(format="fltp", rate=sample_rate)
        try:
            for frame in container.decode(audio=0):
                for part in resampler.resample(frame):
                    yield np.asarray(part.to_ndarray(), np.float32)
        except (av.FFmpegError, EOFError, UnicodeDecodeError, ValueError, IndexError) as error:
            raise AudioError(f"{name} is damaged: decoding stopped ({type(error).__name__})") from None


def _open(source: Path | BinaryIO, name: str):  # type: ignore[no-untyped-def]  # av is optional and its types with it
    try:
        import av
    except ImportError:
        hint = "install the extra: pip install 'nacre[m4a]'"
        raise MissingToolError(f"{name} is m4a, aac or webm, which needs the package 'av': {hint}") from None
    try:
        return av.open(str(source) if isinstance(source, Path) else source, "r")
    except (av.FFmpegError, EOFError, ValueError, IndexError, OSError) as error:
        raise AudioError(f"{name} is not audio that can be decoded ({type(error).__name__})") from None
