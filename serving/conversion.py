"""One conversion within limits: an audio file to a container, and a container to audio.

The HTTP service, the local commands and batch transcoding all encode here, so that the same audio gives the same bytes
everywhere.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from codec.audio import Audio, AudioLimits, Source
from codec.chunked import WindowCoder
from codec.compress_blocks import Progress, compress_source, decompress_blocks
from codec.excerpt import decompress_excerpt
from codec.metadata import Metadata
from codec.weights import LoadedPackage


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A container, and the duration of the audio it holds."""

    data: bytes
    seconds: float

    @property
    def measured_kbps(self) -> float:
        """The container's actual bitrate, its header included."""
        return len(self.data) * 8 / self.seconds / 1000


def encode_source(
    model: LoadedPackage,
    source: Source,
    limits: AudioLimits,
    *,
    num_quantizers: int | None = None,
    bitrate_kbps: float | None = None,
    denoise: bool = False,
    metadata: Metadata | None = None,
    progress: Progress | None = None,
    through: WindowCoder | None = None,
) -> Encoded:
    """Encode a file, or a file in memory; neither choice given means all of the codec's quantizers.

    `denoise` leaves its noise out. `metadata` go into the container. `through` is as in codec/chunked.py.

    Raises:
        AudioError: It is not audio that the codec can take.
        BitrateError: The codec has no such bitrate.
        CapabilityError: The codec was not built to denoise.
        LimitError: It is larger than `limits` allow.
        MissingToolError: It needs the optional extra `m4a`.
    """
    compressed = compress_source(
        model,
        source,
        limits,
        num_quantizers=num_quantizers,
        bitrate_kbps=bitrate_kbps,
        denoise=denoise,
        metadata=metadata,
        progress=progress,
        through=through,
    )
    return Encoded(data=compressed.data, seconds=compressed.seconds)


def decode_container(
    model: LoadedPackage,
    data: bytes,
    limits: AudioLimits,
    *,
    start: float | None = None,
    duration: float | None = None,
    progress: Progress | None = None,
    through: WindowCoder | None = None,
) -> Audio:
    """Decode a container, or only `duration` seconds of it from `start` on.

    `through` is as in codec/chunked.py; a stretch does without.

    Raises:
        AudioError: There is no audio at that time.
        BitstreamError: The container is damaged, or contradicts the model.
        LimitError: What is wanted is larger than `limits` allow.
        ModelMismatchError: Another model made it.
    """
    if start is not None or duration is not None:
        return decompress_excerpt(model, io.BytesIO(data), start_s=start or 0.0, duration_s=duration, limits=limits)
    decoded = decompress_blocks(model, data, limits, progress=progress, through=through)
    samples = np.concatenate(list(decoded.blocks), axis=1)
    return Audio(samples=samples, sample_rate=decoded.header.source_sample_rate)
