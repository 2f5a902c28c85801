"""Code audio of any length in constant memory: in windows, each with as many neighbours as can reach it.

The result is the whole file's: the same codes, and the same audio but for the order in which overlapping transforms are
added (1e-5). Neighbours are counted from the configuration (codec/context.py), the ends of a file see the same
zeros, and codec/rows.py keeps the bits of each frame free of the window's size.

Axes: audio [B, C, T]; codes [B, K, L].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from codec.checks import check
from codec.config import CodecConfig
from codec.context import Finite
from codec.errors import CapabilityError
from codec.model import Codec

WINDOW_FRAMES = 1024


@dataclass(frozen=True, kw_only=True)
class _Window:
    """`content` [..., N]: context, then `size` asked for from `start` on, then context."""

    content: Tensor
    start: int
    size: int


def encode_chunked(
    codec: Codec,
    blocks: Iterable[Tensor],
    *,
    num_quantizers: int | None = None,
    bitrate_kbps: float | None = None,
    denoise: bool = False,
    window_frames: int = WINDOW_FRAMES,
) -> Iterator[Tensor]:
    """Encode audio that comes as blocks [B, C, any length]; yield its codes as [B, K, at most window_frames].

    Raises:
        BitrateError: The codec has no such bitrate or number of quantizers.
        CapabilityError: The codec's family reaches over the whole file, or it was not built to denoise.
    """
    network = _network(codec.config)
    check(window_frames >= 1, "window_frames", window_frames, "at least 1")
    hop = codec.config.hop_length
    stages = codec.config.resolve_num_quantizers(num_quantizers, bitrate_kbps)
    context = network.encoder_context(hop)
    for window in _windows(blocks, window_frames * hop, context.left * hop, context.right * hop):
        start = window.start // hop
        codes = codec.encode(window.content, num_quantizers=stages, denoise=denoise)
        yield codes[..., start : start - (-window.size // hop)]


def decode_chunked(codec: Codec, blocks: Iterable[Tensor], *, window_frames: int = WINDOW_FRAMES) -> Iterator[Tensor]:
    """Decode codes that come as blocks [B, K, any length]; yield the audio as [B, C, whole hops].

    All blocks together give `L * hop_length` samples; the caller cuts the last hop to the length it knows.

    Raises:
        CapabilityError: The codec's family reaches over the whole file.
    """
    network = _network(codec.config)
    check(window_frames >= 1, "window_frames", window_frames, "at least 1")
    hop = codec.config.hop_length
    context = network.decoder_context(hop)
    for window in _windows(blocks, window_frames, context.left, context.right):
        yield codec.decode(window.content)[..., window.start * hop : (window.start + window.size) * hop]


def _network(config: CodecConfig) -> Finite:
    network: object = config.network
    if not isinstance(network, Finite):
        raise CapabilityError(
            f"'{config.name}' can't be coded in chunks: '{config.family}' reaches over the whole file"
        )
    return network


def _windows(blocks: Iterable[Tensor], size: int, left: int, right: int) -> Iterator[_Window]:
    """Cut [..., N], given in blocks, into windows of `size` with `left` and `right` around, where there are."""
    held: list[Tensor] = []
    start = count = 0
    for block in blocks:
        held.append(block)
        count += block.shape[-1]
        if count < start + size + right:
            continue
        content = torch.cat(held, dim=-1)
        while content.shape[-1] >= start + size + right:
            yield _Window(content=content[..., : start + size + right], start=start, size=size)
            kept = min(left, start + size)
            content = content[..., start + size - kept :]
            start = kept
        held, count = [content], content.shape[-1]
    if count > start:
        yield _Window(content=torch.cat(held, dim=-1), start=start, size=count - start)
