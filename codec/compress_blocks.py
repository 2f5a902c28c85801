"""Audio files to containers and back in constant memory, byte for byte what codec/compress.py gives.

Only the codes are held whole: 10 hours at 12 stages of 50 Hz are 43 MB, and 4 times that while the container is written
or read. A codec whose networks reach over the whole file (codec/chunked.py) is coded whole, unless in segments.

Axes: blocks [channels, n]; codes [S, K, L], S streams; scales [S, N], N segments, of a codec that codes in segments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.audio import AudioLimits, Source, read_blocks
from codec.audio_blocks import Blocks, fit_blocks, resample_blocks
from codec.chunked import WINDOW_FRAMES, WindowCoder, can_chunk, decode_chunked, encode_chunked
from codec.compress import check_channels, check_header, container_of
from codec.container import Container, Header, read_container, read_header
from codec.metadata import Metadata
from codec.model import Codec
from codec.segments import SegmentedCodes, decode_segment_blocks, encode_segment_blocks, split_segments
from codec.weights import LoadedPackage

# Is told how many seconds of the audio are done, and of how many.
Progress = Callable[[float, float], None]


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
    """A container's `header` and `metadata`, and its audio [channels, n] at the source's rate, to be taken once."""

    header: Header
    blocks: Iterator[NDArray[np.float32]]
    metadata: Metadata | None = None


def compress_source(
    model: LoadedPackage,
    source: Source,
    limits: AudioLimits | None = None,
    *,
    num_quantizers: int | None = None,
    bitrate_kbps: float | None = None,
    denoise: bool = False,
    metadata: Metadata | None = None,
    progress: Progress | None = None,
    through: WindowCoder | None = None,
) -> Compressed:
    """Return the container of an audio file, or of a file in memory. The bitrate is that of one stream.

    `denoise` leaves its noise out. `metadata` go into the container; codec/description.py reads those of a file.
    `through` is as in codec/chunked.py.

    Raises:
        AudioError: It is not audio that the codec can take.
        BitrateError: The codec has no such bitrate or number of quantizers.
        CapabilityError: The codec was not built to denoise, or its segments don't fit into a container's blocks at this
            bitrate.
        LimitError: It is larger than `limits` allow.
        MissingToolError: It needs the optional extra `m4a`.
    """
    config, device = model.package.config, _device(model.codec)
    stages = config.resolve_num_quantizers(num_quantizers, bitrate_kbps)
    if denoise:
        config.check_denoising()
    info, blocks = read_blocks(source, limits)
    check_channels(info.channels, config)
    counted = _Counted(blocks, info.num_samples, info.sample_rate, progress)
    prepared = resample_blocks(counted, info.sample_rate, config.sample_rate)
    streams = (torch.from_numpy(block).unflatten(0, (-1, config.channels)).to(device) for block in prepared)
    codes, scales = _encode(model.codec, streams, stages, denoise, through)
    facts = (info.channels, info.sample_rate, counted.num_samples)
    data = container_of(model, codes, scales, *facts, metadata=metadata)
    return Compressed(data=data, sample_rate=info.sample_rate, num_samples=counted.num_samples)


def decompress_blocks(
    model: LoadedPackage,
    data: bytes,
    limits: AudioLimits | None = None,
    *,
    progress: Progress | None = None,
    through: WindowCoder | None = None,
) -> Decompressed:
    """Check a container, and return its audio in blocks, at its source's sample rate, to the sample.

    `through` is as in codec/chunked.py.

    Raises:
        BitstreamError: The container is damaged, or contradicts the model.
        LimitError: It claims to be larger than `limits` allow; nothing was unpacked.
        ModelMismatchError: Another model made it.
    """
    header = read_header(data)
    check_header(model.package, header, limits)
    container = read_container(data, model.coder)
    decoded = fit_blocks(_decode(model.codec, container, through), header.num_samples)
    restored = resample_blocks(decoded, header.sample_rate, header.source_sample_rate)
    blocks = fit_blocks(restored, header.source_num_samples)
    counted = _Counted(blocks, header.source_num_samples, header.source_sample_rate, progress)
    return Decompressed(header=header, blocks=iter(counted), metadata=container.metadata)


def _encode(
    codec: Codec, streams: Iterator[Tensor], stages: int, denoise: bool, through: WindowCoder | None
) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
    """Encode blocks [S, C, n] to codes [S, K, L] and, of a codec that codes in segments, scales [S, N]."""
    codes = _Columns(np.dtype(np.uint16))
    if codec.config.segments is not None:
        scales = _Columns(np.dtype(np.float32))
        for segments in encode_segment_blocks(codec, streams, num_quantizers=stages):
            codes.append(segments.codes)
            scales.append(segments.scales)
        return codes.join().astype(np.int64), scales.join()
    if can_chunk(codec.config):
        for part in encode_chunked(codec, streams, num_quantizers=stages, denoise=denoise, through=through):
            codes.append(part)
    else:
        whole = torch.cat(list(streams), dim=-1)
        codes.append((through or codec).encode(whole, num_quantizers=stages, denoise=denoise))
    return codes.join().astype(np.int64), None


def _decode(codec: Codec, container: Container, through: WindowCoder | None) -> Iterator[NDArray[np.float32]]:
    """Decode to blocks [channels, n]."""
    device, codes = _device(codec), torch.from_numpy(container.codes)
    if codec.config.segments is not None:
        num_samples = container.header.num_samples
        coded = SegmentedCodes(codes, torch.from_numpy(container.scales))
        segments = (segment.to(device) for segment in split_segments(codec.config, coded, num_samples))
        audio = decode_segment_blocks(codec, segments, num_samples=num_samples)
    elif can_chunk(codec.config):
        parts = (part.to(device) for part in codes.split(WINDOW_FRAMES, dim=-1))
        audio = decode_chunked(codec, parts, through=through)
    else:
        audio = iter([(through or codec).decode(codes.to(device))])
    return (part.flatten(0, 1).cpu().numpy() for part in audio)


class _Columns:
    """Arrays [..., n] to be joined, in one buffer: thousands of small ones would pin the heap between windows."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._data = bytearray()
        self._shape: tuple[int, ...] = ()

    def append(self, part: Tensor) -> None:
        self._shape = part.shape[:-1]
        self._data += np.moveaxis(part.cpu().numpy().astype(self._dtype), -1, 0).tobytes()

    def join(self) -> NDArray[Any]:
        return np.moveaxis(np.frombuffer(self._data, self._dtype).reshape(-1, *self._shape), 0, -1)


class _Counted:
    """Blocks that are counted while they pass: `num_samples` so far, of about `expected`."""

    def __init__(self, blocks: Blocks, expected: int, sample_rate: int, progress: Progress | None) -> None:
        self.num_samples = 0
        self._blocks, self._expected, self._sample_rate, self._progress = blocks, expected, sample_rate, progress

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for block in self._blocks:
            self.num_samples += block.shape[1]
            yield block
            if self._progress is not None:
                whole = max(self._expected, self.num_samples)
                self._progress(self.num_samples / self._sample_rate, whole / self._sample_rate)


def _device(codec: Codec) -> torch.device:
    return next(codec.parameters()).device
