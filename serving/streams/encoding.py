"""PCM to a container, piece by piece: what /v1/encode gives for the same audio.

A causal codec codes every hop as it comes (codec/streaming.py), the others window by window (codec/chunked.py). A block
of the container is about a second, so that is how long its first codes wait for the others, unless blocks are chosen to
be smaller.

Axes: blocks [channels, n]; codes [S, K, L]; scales [S, N], N segments.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from codec.audio import resampled_length
from codec.audio_blocks import resample_blocks
from codec.chunked import encode_chunked
from codec.compress import check_channels, container_of
from codec.container import Header, read_header
from codec.errors import CapabilityError
from codec.model import Codec
from codec.segments import encode_segment_blocks
from codec.streaming import StreamingEncoder
from codec.weights import LoadedPackage
from serving.streams.exchange import Exchange
from serving.streams.limits import StreamLimits
from serving.streams.parameters import EncodeStreamParameters
from serving.streams.pcm import PcmLayout, PcmReader
from serving.streams.window import window_frames
from serving.streams.writer import StreamWriter


def encode_exchange(
    exchange: Exchange, model: LoadedPackage, parameters: EncodeStreamParameters, limits: StreamLimits
) -> None:
    """Encode all that comes, and tell the totals. Raises what `encode_pcm` raises."""
    config = model.package.config
    layout = PcmLayout(
        sample_rate=parameters.sample_rate or config.sample_rate,
        channels=parameters.channels or config.channels,
        format=parameters.format,
    )
    pcm = PcmReader(exchange.read, layout, limits.audio)
    num_bytes = 0
    with exchange.computing():
        for data in encode_pcm(model, pcm, parameters):
            num_bytes += len(data)
            exchange.write(data)
    exchange.tell(
        type="done",
        fingerprint=model.package.fingerprint,
        seconds=pcm.seconds,
        bytes=num_bytes,
        measured_kbps=num_bytes * 8 / pcm.seconds / 1000,
    )


def encode_pcm(model: LoadedPackage, pcm: PcmReader, parameters: EncodeStreamParameters) -> Iterator[bytes]:
    """Yield the container's bytes as they become certain; whatever doesn't depend on the audio is checked first.

    Raises:
        AudioError: The audio can't be used.
        BitrateError: The codec has no such bitrate or number of quantizers.
        CapabilityError: The codec can't code audio as it comes, was not built to denoise, or has no such blocks.
        LimitError: The audio is larger than allowed.
    """
    config, layout = model.package.config, pcm.layout
    stages = config.resolve_num_quantizers(parameters.num_quantizers, parameters.bitrate_kbps)
    if parameters.denoise:
        config.check_denoising()
    check_channels(layout.channels, config)
    header = _header(model, layout, stages, parameters.block_ms)
    writer = StreamWriter(header, model.coder, decided=parameters.block_ms is not None)
    device = next(model.codec.parameters()).device
    blocks = resample_blocks(pcm, layout.sample_rate, config.sample_rate)
    streams = (torch.from_numpy(block).unflatten(0, (-1, config.channels)).to(device) for block in blocks)
    for _ in _write(model.codec, streams, writer, header, denoise=parameters.denoise):
        if data := writer.take():
            yield data
    num_samples = resampled_length(pcm.num_samples, layout.sample_rate, config.sample_rate)
    writer.close(num_samples=num_samples, source_num_samples=pcm.num_samples)
    yield writer.take()


def _header(model: LoadedPackage, layout: PcmLayout, stages: int, block_ms: int | None) -> Header:
    """Return the header, without totals, that codec/compress.py gives such audio: that of one sample."""
    config = model.package.config
    length = resampled_length(1, layout.sample_rate, config.sample_rate)
    streams = layout.channels // config.channels
    codes = np.zeros((streams, stages, config.num_frames(length)), np.int64)
    scales = None if config.segments is None else np.zeros((streams, config.segments.count(length)), np.float32)
    shortest = read_header(container_of(model, codes, scales, layout.channels, layout.sample_rate, 1))
    coder = b"" if model.coder is None else model.coder.fingerprint
    header = dataclasses.replace(shortest, num_samples=0, source_num_samples=0, coder=coder)
    if block_ms is None:
        return header
    if config.segments is not None:
        raise CapabilityError(f"'{config.name}' codes in segments, which are its blocks: leave block_ms out")
    frames = max(1, round(block_ms * config.frame_rate / 1000))
    return dataclasses.replace(header, frames_per_block=min(frames, header.frames_per_block))


def _write(
    codec: Codec, streams: Iterable[Tensor], writer: StreamWriter, header: Header, *, denoise: bool
) -> Iterator[None]:
    """Encode blocks [S, C, n], and yield whenever something was written."""
    stages = header.num_quantizers
    if codec.config.segments is not None:
        for coded in encode_segment_blocks(codec, streams, num_quantizers=stages):
            count = coded.scales.shape[1]
            for codes, scales in zip(coded.codes.chunk(count, -1), coded.scales.chunk(count, -1), strict=True):
                writer.write_segment(codes.cpu().numpy(), scales.cpu().numpy())
            yield
        return
    for codes in _encode(codec, streams, header, denoise=denoise):
        writer.write(codes.cpu().numpy())
        yield


def _encode(codec: Codec, streams: Iterable[Tensor], header: Header, *, denoise: bool) -> Iterator[Tensor]:
    """Encode blocks [S, C, n] to codes [S, K, L]."""
    encoder: object = codec.encoder
    if not (isinstance(encoder, StreamingEncoder) and encoder.can_stream):
        frames = window_frames(codec.config, header.frames_per_block)
        yield from encode_chunked(
            codec, streams, num_quantizers=header.num_quantizers, denoise=denoise, window_frames=frames
        )
        return
    with codec.streaming(header.num_streams, num_quantizers=header.num_quantizers, denoise=denoise) as stream:
        for block in streams:
            yield stream.encode(block)
        yield stream.finish_encoding()
