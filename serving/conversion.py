"""One conversion: an audio file to a container, within limits.

The HTTP service, the local commands and batch transcoding all come through here, so that the same audio gives the same
bytes everywhere. The way back is `codec.compress.decompress`.
"""

from __future__ import annotations

from dataclasses import dataclass

from codec.audio import AudioLimits, Source
from codec.compress_blocks import Progress, compress_source
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
    progress: Progress | None = None,
) -> Encoded:
    """Encode a file, or a file in memory; neither choice given means all of the codec's quantizers.

    `denoise` leaves its noise out.

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
        progress=progress,
    )
    return Encoded(data=compressed.data, seconds=compressed.seconds)
