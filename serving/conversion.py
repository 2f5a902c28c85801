"""One conversion: encoded audio to a container, or a container to audio, within limits.

The HTTP service, the local commands and batch transcoding all come through here, so that the same audio gives the same
bytes everywhere. Whatever an input claims of itself is checked before memory is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from codec.audio import Audio, AudioLimits, Source, read_audio
from codec.compress import compress, decompress
from codec.container import Header, read_header
from codec.errors import LimitError
from codec.package import LoadedPackage


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
) -> Encoded:
    """Encode a file, or a file in memory; neither choice given means all of the codec's quantizers.

    Raises:
        AudioError: It is not audio that the codec can take.
        BitrateError: The codec has no such bitrate.
        LimitError: It is larger than `limits` allow.
        MissingToolError: It needs the optional extra `m4a`.
    """
    audio = read_audio(source, limits)
    data = compress(model, audio, num_quantizers=num_quantizers, bitrate_kbps=bitrate_kbps)
    return Encoded(data=data, seconds=audio.seconds)


def decode_bytes(model: LoadedPackage, data: bytes, limits: AudioLimits) -> Audio:
    """Decode a container, at its source's sample rate and to the sample.

    Raises:
        BitstreamError: It is damaged or no container.
        LimitError: It claims to be larger than `limits` allow.
        ModelMismatchError: Another model made it.
    """
    _check(read_header(data), limits)
    return decompress(model, data)


def _check(header: Header, limits: AudioLimits) -> None:
    """Refuse what a container claims before its codes are unpacked; its rate decides how far resampling grows it."""
    rate, channels = header.source_sample_rate, header.channels
    if not limits.min_sample_rate <= rate <= limits.max_sample_rate:
        rule = f"{limits.min_sample_rate} to {limits.max_sample_rate} Hz"
        raise LimitError(f"the container asks for a sample rate of {rate} Hz; allowed are {rule}")
    if channels > limits.max_channels:
        raise LimitError(f"the container has {channels} channels; allowed are 1 to {limits.max_channels}")
    seconds = max(header.seconds, header.source_num_samples / rate)
    if seconds > limits.max_seconds:
        raise LimitError(f"the container is {seconds:.0f} s long; allowed are {limits.max_seconds:g} s")
