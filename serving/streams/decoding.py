"""A container to audio, piece by piece: what /v1/decode gives for it, at the source's rate, to the sample.

How long the audio is stands in the footer. So as much as may have to be cut off is held back: a hop, and of a codec
that codes in segments the last two of them.

Axes: blocks [channels, n]; codes [S, K, L]; audio [S, C, n].
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.audio import AudioLimits
from codec.audio_blocks import Blocks, resample_blocks
from codec.chunked import decode_chunked
from codec.compress import check_header
from codec.container import ContainerStream, Header
from codec.container.block import Block, read_blocks
from codec.errors import LimitError
from codec.model import Codec
from codec.segments import SegmentedCodes, decode_segment_blocks
from codec.streaming import StreamingDecoder
from codec.weights import LoadedPackage
from serving.streams.exchange import Exchange
from serving.streams.limits import StreamLimits
from serving.streams.parameters import DecodeStreamParameters
from serving.streams.pcm import pcm_bytes
from serving.streams.window import window_frames

# Finds the model that made a container, by the fingerprint in its header.
MakerOf = Callable[[bytes], LoadedPackage]
# More samples than any audio has: every segment is whole.
_ENDLESS = 1 << 62


@dataclass(frozen=True, kw_only=True)
class OpenedContainer:
    """A container's `header`, without totals, the model that made it, and its audio, to be taken once."""

    header: Header
    model: LoadedPackage
    blocks: Iterator[NDArray[np.float32]]


def decode_exchange(
    exchange: Exchange, maker_of: MakerOf, parameters: DecodeStreamParameters, limits: StreamLimits
) -> None:
    """Decode all that comes, and tell what it is. Raises what `open_container` and its blocks raise."""
    opened = open_container(cast(BinaryIO, exchange), maker_of, limits.audio)
    rate, channels = opened.header.source_sample_rate, opened.header.channels
    fingerprint = opened.model.package.fingerprint
    exchange.tell(type="format", format=parameters.format, sample_rate=rate, channels=channels, fingerprint=fingerprint)
    num_samples = 0
    with exchange.computing():
        for block in opened.blocks:
            num_samples += block.shape[1]
            exchange.write(pcm_bytes(block, parameters.format))
    exchange.tell(type="done", seconds=num_samples / rate, num_samples=num_samples)


def open_container(file: BinaryIO, maker_of: MakerOf, limits: AudioLimits) -> OpenedContainer:
    """Read the header of a container, and return its audio, which is decoded as it is taken.

    Raises:
        BitstreamError: It is no container, or contradicts the model; and while taking its audio, it is damaged or cut
            short.
        CapabilityError: The codec can't code audio as it comes.
        LimitError: It is larger than `limits` allow; also while taking its audio.
        ModelMismatchError: No model that is served made it.
    """
    stream = ContainerStream(file)
    header = stream.header
    model = maker_of(header.fingerprint)
    check_header(model.package, header, limits)
    decoded = _decode(model.codec, stream, _read(model, stream, limits))
    at_codec_rate = _cut_end(decoded, header.hop_length, lambda: stream.header.num_samples)
    restored = resample_blocks(at_codec_rate, header.sample_rate, header.source_sample_rate)
    # Samples at the codec's rate are rounded up, and so are those that are made of them again.
    excess = -(-header.source_sample_rate // header.sample_rate)
    blocks = _cut_end(restored, excess, lambda: stream.header.source_num_samples)
    return OpenedContainer(header=header, model=model, blocks=blocks)


def _read(model: LoadedPackage, stream: ContainerStream, limits: AudioLimits) -> Iterator[Block]:
    """Yield the blocks; check before each that the audio isn't too long, and its totals after the last."""
    header = stream.header
    for block in stream.checked_blocks():
        start, _ = header.block_range(block.index)
        least = start + (block.frames - 1) * header.hop_length + 1
        if least > limits.max_seconds * header.sample_rate:
            raise LimitError(f"the container is longer than the {limits.max_seconds:g} s allowed")
        yield from read_blocks(header, [block], model.coder)
    check_header(model.package, stream.header, limits)


def _decode(codec: Codec, stream: ContainerStream, blocks: Iterator[Block]) -> Iterator[NDArray[np.float32]]:
    """Decode to blocks [channels, n]."""
    device = next(codec.parameters()).device
    if codec.config.segments is not None:
        segments = (SegmentedCodes(torch.from_numpy(b.codes), torch.from_numpy(b.scales)).to(device) for b in blocks)
        audio = _decode_segments(codec, segments, lambda: stream.header.num_samples)
    else:
        codes = (torch.from_numpy(block.codes).to(device) for block in blocks)
        audio = _decode_frames(codec, codes, stream.header)
    return (part.flatten(0, 1).cpu().numpy() for part in audio)


def _decode_frames(codec: Codec, blocks: Iterator[Tensor], header: Header) -> Iterator[Tensor]:
    """Decode codes that come as blocks [S, K, any length] to audio [S, C, n]."""
    frames = window_frames(codec.config, header.frames_per_block)
    decoder: object = codec.decoder
    if not (isinstance(decoder, StreamingDecoder) and decoder.can_stream):
        return decode_chunked(codec, blocks, window_frames=frames)
    return _decode_hops(codec, (part for block in blocks for part in block.split(frames, dim=-1)), header.num_streams)


def _decode_hops(codec: Codec, blocks: Iterator[Tensor], num_streams: int) -> Iterator[Tensor]:
    with codec.streaming(num_streams) as stream:
        for block in blocks:
            yield stream.decode(block)
        yield stream.finish_decoding()


def _decode_segments(
    codec: Codec, segments: Iterable[SegmentedCodes], num_samples: Callable[[], int]
) -> Iterator[Tensor]:
    """Decode segments to audio [S, C, n]: each as a whole one when two more have come, the last two at the end."""
    last: deque[SegmentedCodes] = deque(maxlen=3)

    def whole() -> Iterator[SegmentedCodes]:
        for segment in segments:
            last.append(segment)
            if len(last) == 3:
                yield last[0]

    yield from decode_segment_blocks(codec, whole(), num_samples=_ENDLESS)
    total = num_samples()
    segmentation = codec.config.segments
    assert segmentation is not None, "only a codec with segments comes here"
    first = segmentation.count(total) - len(last)
    rest = decode_segment_blocks(codec, last, num_samples=total, first=first)
    if len(last) == 3:
        next(rest)  # given already; the next one overlaps it
    yield from rest


def _cut_end(blocks: Blocks, at_most: int, num_samples: Callable[[], int]) -> Iterator[NDArray[np.float32]]:
    """Cut blocks to `num_samples` in all, which is known when they have ended; that takes `at_most` off the last."""
    held: NDArray[np.float32] | None = None
    given = 0
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=1)
        certain = max(0, held.shape[1] - at_most)
        if certain:
            yield held[:, :certain]
        given += certain
        held = held[:, certain:].copy()
    if held is not None and num_samples() > given:
        yield held[:, : num_samples() - given]
