"""PCM as it comes in pieces of any size, interleaved and little endian, and as it is given.

16-bit samples become floats, and floats 16-bit samples, as libsndfile does it: a stream hears and gives exactly what a
wav file of the same samples would.

Axes: blocks are float32 [channels, n], n as it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.audio import AudioLimits
from codec.errors import AudioError, LimitError
from serving.streams.parameters import PcmFormat

READ_BYTES = 1 << 16
_DTYPES: dict[PcmFormat, np.dtype[Any]] = {"s16": np.dtype("<i2"), "f32": np.dtype("<f4")}
_FULL_SCALE = 1 << 15


@dataclass(frozen=True, kw_only=True)
class PcmLayout:
    """What the bytes mean."""

    sample_rate: int
    channels: int
    format: PcmFormat

    def check(self, limits: AudioLimits) -> None:
        """Check the rate and the channels.

        Raises:
            LimitError: They are more, or less, than `limits` allow.
        """
        if not limits.min_sample_rate <= self.sample_rate <= limits.max_sample_rate:
            rule = f"{limits.min_sample_rate} to {limits.max_sample_rate} Hz"
            raise LimitError(f"the audio has a sample rate of {self.sample_rate} Hz; allowed are {rule}")
        if self.channels > limits.max_channels:
            raise LimitError(f"the audio has {self.channels} channels; allowed are 1 to {limits.max_channels}")


class PcmReader:
    """Audio from `read`, which returns the bytes that come next, at most so many, and none at the end."""

    def __init__(self, read: Callable[[int], bytes], layout: PcmLayout, limits: AudioLimits) -> None:
        layout.check(limits)
        self.layout = layout
        self.num_samples = 0
        self._read = read
        self._limits = limits

    @property
    def seconds(self) -> float:
        """Duration of what has been read."""
        return self.num_samples / self.layout.sample_rate

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Yield the audio in blocks.

        Raises:
            AudioError: It is empty, not finite, or ends within a sample.
            LimitError: It is longer than allowed.
        """
        step = _DTYPES[self.layout.format].itemsize * self.layout.channels
        rest = b""
        while data := self._read(READ_BYTES):
            data = rest + data
            whole = len(data) - len(data) % step
            rest = data[whole:]
            if whole:
                yield self._block(data[:whole])
        if rest:
            raise AudioError(f"the audio ends within a sample, which takes {step} bytes over all channels")
        if not self.num_samples:
            raise AudioError("the audio holds no samples")

    def _block(self, data: bytes) -> NDArray[np.float32]:
        samples = np.frombuffer(data, _DTYPES[self.layout.format]).reshape(-1, self.layout.channels).T
        block = samples.astype(np.float32)
        if self.layout.format == "s16":
            block /= _FULL_SCALE
        self.num_samples += block.shape[1]
        if self.num_samples > int(self._limits.max_seconds * self.layout.sample_rate):
            raise LimitError(f"the audio is longer than the {self._limits.max_seconds:g} s allowed")
        if not np.isfinite(block).all():
            raise AudioError("the audio holds samples that are not finite (NaN or infinity)")
        return block


def pcm_bytes(block: NDArray[np.float32], format: PcmFormat) -> bytes:
    """Return a block [channels, n] as PCM."""
    samples = block.T
    if format == "s16":
        samples = np.floor(samples * np.float32(_FULL_SCALE)).clip(-_FULL_SCALE, _FULL_SCALE - 1)
    return samples.astype(_DTYPES[format]).tobytes()
