"""Audio files to containers and back in constant memory, byte for byte what codec/compress.py gives.

Only the codes are held whole: 10 hours at 12 stages of 50 Hz are 43 MB, and 4 times that while the container is written
or read. A family whose networks reach over the whole file (codec/chunked.py) is coded whole.

Axes: blocks [channels, n]; codes [S, K, L], S streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.audio import AudioLimits, Source, read_blocks
from codec.audio_blocks import Blocks, fit_blocks, resample_blocks
from codec.chunked import WINDOW_FRAMES, decode_chunked, encode_chunked
from codec.compress import check_channels, check_limits, check_model, container_of
from codec.container import Header, read_container, read_header
from codec.context import Finite
from codec.model import Codec
from codec.weights import LoadedPackage

# Is told the share done, from 0 to 1.
Progress = Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Compressed:
    """A container, and what it was made from."""

    data: bytes
    sample_rate: int
    num_samples: int

    @property
    def seconds(self) -> float:
        """Duration of the source."""
        return self.num_samples / self.sample_rate


@dataclass(frozen=True, kw_only=True)
class Decompressed:
    """A container's `header`, and its audio [channels, n] at the source's rate, to be taken once."""

    header: Header
    blocks: Iterator[NDArray[np.float32]]


def compress_source(
    model: LoadedPackage,
    source: Source,
    limits: AudioLimits | None = None,
    *,
    num_quantizers: int | None = None,
    bitrate_kbps: float | None = None,
    denoise: bool = False,
    progress: Progress | None = None,
) -> Compressed:
    """Return the container of an audio file, or of a file in memory. The bitrate is that of one stream.

    `denoise` leaves its noise out.

    Raises:
        AudioError: It is not audio that the codec can take.
        BitrateError: The codec has no such bitrate or number of quantizers.
        CapabilityError: The codec was not built to denoise.
        LimitError: It is larger than `limits` allow.
        MissingToolError: It needs the optional extra `m4a`.
    """
    config, device = model.package.config, _device(model.codec)
    stages = config.resolve_num_quantizers(num_quantizers, bitrate_kbps)
    info, blocks = read_blocks(source, limits)
    check_channels(info.channels, config)
    counted = _Counted(blocks, info.num_samples, progress)
    prepared = resample_blocks(counted, info.sample_rate, config.sample_rate)
    streams = (torch.from_numpy(block).unflatten(0, (-1, config.channels)).to(device) for block in prepared)
    # One buffer: thousands of small arrays would pin the heap between the windows' large ones.
    held = bytearray()
    for part in _encode(model.codec, streams, stages, denoise):
        held += part.cpu().numpy().astype(np.uint16).transpose(2, 0, 1).tobytes()
    shape = (-1, info.channels // config.channels, stages)
    whole = np.frombuffer(held, np.uint16).reshape(shape).transpose(1, 2, 0).astype(np.int64)
    data = container_of(model.package, whole, info.channels, info.sample_rate, counted.num_samples)
    return Compressed(data=data, sample_rate=info.sample_rate, num_samples=counted.num_samples)


def decompress_blocks(
    model: LoadedPackage, data: bytes, limits: AudioLimits | None = None, *, progress: Progress | None = None
) -> Decompressed:
    """Check a container, and return its audio in blocks, at its source's sample rate, to the sample.

    Raises:
        BitstreamError: The container is damaged, or contradicts the model.
        LimitError: It claims to be larger than `limits` allow; nothing was unpacked.
        ModelMismatchError: Another model made it.
    """
    header = read_header(data)
    check_limits(header, limits or AudioLimits())
    check_model(model.package, header)
    decoded = fit_blocks(_decode(model.codec, read_container(data).codes), header.num_samples)
    restored = resample_blocks(decoded, header.sample_rate, header.source_sample_rate)
    blocks = fit_blocks(restored, header.source_num_samples)
    return Decompressed(header=header, blocks=iter(_Counted(blocks, header.source_num_samples, progress)))


def _encode(codec: Codec, streams: Iterator[Tensor], stages: int, denoise: bool) -> Iterator[Tensor]:
    """Encode blocks [S, C, n] to codes [S, K, ...]."""
    if isinstance(codec.config.network, Finite):
        return encode_chunked(codec, streams, num_quantizers=stages, denoise=denoise)
    return iter([codec.encode(torch.cat(list(streams), dim=-1), num_quantizers=stages, denoise=denoise)])


def _decode(codec: Codec, codes: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
    """Decode codes [S, K, L] to blocks [channels, n]."""
    whole = torch.from_numpy(codes)
    parts = (part.to(_device(codec)) for part in whole.split(WINDOW_FRAMES, dim=-1))
    finite = isinstance(codec.config.network, Finite)
    audio = decode_chunked(codec, parts) if finite else iter([codec.decode(whole.to(_device(codec)))])
    return (part.flatten(0, 1).cpu().numpy() for part in audio)


class _Counted:
    """Blocks that are counted while they pass: `num_samples` so far, of about `expected`."""

    def __init__(self, blocks: Blocks, expected: int, progress: Progress | None) -> None:
        self.num_samples = 0
        self._blocks, self._expected, self._progress = blocks, expected, progress

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for block in self._blocks:
            self.num_samples += block.shape[1]
            yield block
            if self._progress is not None:
                self._progress(min(1.0, self.num_samples / max(1, self._expected)))


def _device(codec: Codec) -> torch.device:
    return next(codec.parameters()).device
