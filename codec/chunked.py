"""Code audio of any length in constant memory: in windows, each with all neighbours that reach it, or as a stream.

The result is the whole file's: the same codes, and the same audio but for the order in which overlapping transforms are
added (1e-5). Neighbours are counted from the configuration (codec/context.py), the ends of a file see the same
padding, and codec/rows.py and codec/steady.py keep the bits of each frame free of the window's size.

 - Where the neighbours that count have an end: windows. `nacre`, `dac`, and `seanet` without LSTM and norm.
 - A causal `seanet` with an LSTM (EnCodec at 24 kHz): a stream (codec/streaming.py), which carries its memory.
 - A non-causal LSTM (EnCodec at 32 kHz) and `time_group` (48 kHz) reach over the whole file: only whole is exact.

Axes: audio [B, C, T]; codes [B, K, L].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from codec.checks import check
from codec.config import CodecConfig
from codec.errors import CapabilityError
from codec.model import Codec
from codec.streaming import Stream

# Neighbours are coded twice, so long windows are faster; short ones take less memory, and let others go between.
WINDOW_FRAMES = 1024


@dataclass(frozen=True, kw_only=True)
class _Window:
    """`content` [..., N]: context, then `size` asked for from `start` on, then context."""

    content: Tensor
    start: int
    size: int


class WindowCoder(Protocol):
    """What codes windows by a codec's rules as the codec does: a queue that joins the windows of many callers."""

    @property
    def window_frames(self) -> int:
        """How long it wants windows, without their neighbours."""

    def encode(self, audio: Tensor, *, num_quantizers: int, denoise: bool) -> Tensor:
        """Encode audio [B, C, T] to codes [B, K, L]."""

    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes [B, K, L] to audio [B, C, L * hop_length]."""


def encode_chunked(
    codec: Codec,
    blocks: Iterable[Tensor],
    *,
    num_quantizers: int | None = None,
    bitrate_kbps: float | None = None,
    denoise: bool = False,
    window_frames: int | None = None,
    through: WindowCoder | None = None,
) -> Iterator[Tensor]:
    """Encode audio that comes as blocks [B, C, any length]; yield its codes as [B, K, any L].

    Windows go `through` another coder if one is given, which then chooses their length unless `window_frames` does;
    what is coded as a stream never does.

    Raises:
        BitrateError: The codec has no such bitrate or number of quantizers.
        CapabilityError: The codec's networks reach over the whole file, or it was not built to denoise.
    """
    window_frames = _window_frames(window_frames, through)
    _check_family(codec.config)
    hop, stages = codec.config.hop_length, codec.config.resolve_num_quantizers(num_quantizers, bitrate_kbps)
    context = codec.config.network.encoder_context(hop)
    if context is None:
        return _encode_stream(codec, blocks, stages, denoise, window_frames * hop)
    windows = _windows(blocks, window_frames * hop, context.left * hop, context.right * hop)
    return _encode_windows(through or codec, windows, hop, stages, denoise)


def decode_chunked(
    codec: Codec,
    blocks: Iterable[Tensor],
    *,
    window_frames: int | None = None,
    through: WindowCoder | None = None,
) -> Iterator[Tensor]:
    """Decode codes that come as blocks [B, K, any length]; yield the audio as [B, C, any T].

    Windows go `through` another coder if one is given, which then chooses their length unless `window_frames` does;
    what is coded as a stream never does.

    All blocks together give `L * hop_length` samples; the caller cuts the last hop to the length it knows.

    Raises:
        CapabilityError: The codec's networks reach over the whole file.
    """
    window_frames = _window_frames(window_frames, through)
    _check_family(codec.config)
    context = codec.config.network.decoder_context(codec.config.hop_length)
    if context is None:
        return _decode_stream(codec, blocks, window_frames)
    windows = _windows(blocks, window_frames, context.left, context.right)
    return _decode_windows(through or codec, windows, codec.config.hop_length)


def can_chunk(config: CodecConfig) -> bool:
    """Tell whether a codec can be coded in chunks: its networks' reach has an end, or it is causal."""
    return config.latency_samples is not None or config.network.encoder_context(config.hop_length) is not None


def goes_in_windows(config: CodecConfig) -> bool:
    """Tell whether a codec's work all goes `through` a window coder: it codes neither as a stream nor in segments."""
    if config.segments is not None:
        return False
    return not can_chunk(config) or config.network.encoder_context(config.hop_length) is not None


def _window_frames(wanted: int | None, through: WindowCoder | None) -> int:
    if wanted is None:
        return WINDOW_FRAMES if through is None else through.window_frames
    check(wanted >= 1, "window_frames", wanted, "at least 1")
    return wanted


def _check_family(config: CodecConfig) -> None:
    if not can_chunk(config):
        raise CapabilityError(
            f"'{config.name}' can't be coded in chunks: its networks reach over the whole file; code it whole"
        )


def _encode_windows(
    coder: Codec | WindowCoder, windows: Iterable[_Window], hop: int, stages: int, denoise: bool
) -> Iterator[Tensor]:
    for window in windows:
        start = window.start // hop
        codes = coder.encode(window.content, num_quantizers=stages, denoise=denoise)
        yield codes[..., start : start - (-window.size // hop)]


def _decode_windows(coder: Codec | WindowCoder, windows: Iterable[_Window], hop: int) -> Iterator[Tensor]:
    for window in windows:
        yield coder.decode(window.content)[..., window.start * hop : (window.start + window.size) * hop]


def _encode_stream(codec: Codec, blocks: Iterable[Tensor], stages: int, denoise: bool, size: int) -> Iterator[Tensor]:
    with ExitStack() as opened:
        stream: Stream | None = None
        for window in _windows(blocks, size, 0, 0):
            if stream is None:
                opening = codec.streaming(len(window.content), num_quantizers=stages, denoise=denoise)
                stream = opened.enter_context(opening)
            yield stream.encode(window.content)
        if stream is not None:
            yield stream.finish_encoding()


def _decode_stream(codec: Codec, blocks: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    with ExitStack() as opened:
        stream: Stream | None = None
        for window in _windows(blocks, size, 0, 0):
            if stream is None:
                stream = opened.enter_context(codec.streaming(len(window.content)))
            yield stream.decode(window.content)
        if stream is not None:
            yield stream.finish_decoding()


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
