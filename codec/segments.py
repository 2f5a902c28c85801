"""Code audio in segments, each at its own loudness, and join them again: EnCodec at 48 kHz (codec/segmentation.py).

Source: EnCodec (arXiv 2210.13438, section 3.1). A segment is divided by its loudness, the root mean square of the mean
of its channels, and coded with that number, its *scale*, beside its codes. Decoded segments fade linearly into each
other where they overlap: what the reference's triangular weights come to. Deviation: each decoded segment is clamped to
[-1, 1] before that, so that no scale, however large, can give samples that are no numbers.

No segment depends on another, so audio of any length takes constant memory. Nor does one depend on those beside which
it is computed: a network gets `ROWS` of them at a time, always as many, since the last bits of a product can depend on
that number; silent ones fill up. On a CPU, where more at a time were no faster, that is one.

Axes: audio [B, C, T]; codes [B, K, L], the segments' codes end to end; scales [B, N]; N segments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from codec.errors import CapabilityError
from codec.rows import pad_items
from codec.segmentation import Segmentation

if TYPE_CHECKING:
    from codec.config import CodecConfig
    from codec.model import Codec

Segment = TypeVar("Segment")
# Segments that a network gets at a time, by type of device.
ROWS = {"cpu": 1, "cuda": 16}
LEAST_LOUDNESS = 1e-8


@dataclass(frozen=True)
class SegmentedCodes:
    """One or more segments: `codes` [B, K, L] end to end, and `scales` [B, N] float32."""

    codes: Tensor
    scales: Tensor

    def to(self, device: torch.device) -> SegmentedCodes:
        """Return both on `device`."""
        return SegmentedCodes(self.codes.to(device), self.scales.to(device))


def loudness(audio: Tensor) -> Tensor:
    """Return the root mean square [B, 1, 1] of the mean of the channels of audio [B, C, T], never zero."""
    return audio.mean(1, keepdim=True).square().mean(-1, keepdim=True).sqrt() + LEAST_LOUDNESS


def encode_segments(
    codec: Codec, audio: Tensor, *, num_quantizers: int | None = None, bitrate_kbps: float | None = None
) -> SegmentedCodes:
    """Encode audio [B, C, T], T at least 1.

    Raises:
        BitrateError: Both choices were given, or the codec has no such bitrate or number of quantizers.
        CapabilityError: The codec doesn't code in segments.
    """
    stages = codec.config.resolve_num_quantizers(num_quantizers, bitrate_kbps)
    parts = list(encode_segment_blocks(codec, [audio], num_quantizers=stages))
    return SegmentedCodes(
        torch.cat([part.codes for part in parts], dim=-1), torch.cat([part.scales for part in parts], dim=-1)
    )


@torch.inference_mode()
def encode_segment_blocks(codec: Codec, blocks: Iterable[Tensor], *, num_quantizers: int) -> Iterator[SegmentedCodes]:
    """Encode audio that comes as blocks [B, C, any length]; yield its segments, one or some at a time.

    Raises:
        CapabilityError: The codec doesn't code in segments.
    """

    def encode(audio: Tensor) -> tuple[Tensor, Tensor]:
        scale = loudness(audio)
        return codec.quantizer.encode(codec.encoder(audio / scale), num_quantizers), scale[:, 0]

    for group in _groups(_cut(blocks, _segmentation(codec.config)), lambda segment: segment):
        codes, scales = _in_rows(encode, torch.cat(group))
        yield SegmentedCodes(
            torch.cat(codes.chunk(len(group)), dim=-1), torch.cat(scales.chunk(len(group)), dim=-1).float()
        )


def decode_segments(codec: Codec, coded: SegmentedCodes, *, num_samples: int) -> Tensor:
    """Decode to audio [B, C, num_samples], the number of samples that was encoded.

    Raises:
        CapabilityError: The codec doesn't code in segments.
    """
    segments = split_segments(codec.config, coded, num_samples)
    return torch.cat(list(decode_segment_blocks(codec, segments, num_samples=num_samples)), dim=-1)


def split_segments(config: CodecConfig, coded: SegmentedCodes, num_samples: int) -> Iterator[SegmentedCodes]:
    """Yield the segments of audio of `num_samples` samples one by one.

    Raises:
        CapabilityError: The codec doesn't code in segments.
    """
    segmentation = _segmentation(config)
    start = 0
    for index in range(segmentation.count(num_samples)):
        stop = start + segmentation.frames(index, num_samples, config.hop_length)
        yield SegmentedCodes(coded.codes[..., start:stop], coded.scales[:, index : index + 1])
        start = stop


@torch.inference_mode()
def decode_segment_blocks(
    codec: Codec, segments: Iterable[SegmentedCodes], *, num_samples: int, first: int = 0
) -> Iterator[Tensor]:
    """Decode segments that come one by one, from number `first` on, of audio of `num_samples` samples in all.

    Yield audio [B, C, n], a stride for each but the file's last. Where the first one overlaps the one before it, which
    isn't there, it stands alone.

    Raises:
        CapabilityError: The codec doesn't code in segments.
    """
    segmentation = _segmentation(codec.config)
    fade = _fade(codec.config, segmentation, num_samples)
    rest: Tensor | None = None
    for index, whole in enumerate(_decode_each(codec, segments), start=first):
        audio = whole[..., : segmentation.samples(index, num_samples)]
        if rest is not None:
            count = rest.shape[-1]
            joined = torch.lerp(rest, audio[..., :count], fade[:count].to(audio))
            audio = torch.cat([joined, audio[..., count:]], dim=-1)
        rest = audio[..., segmentation.stride :]
        yield audio[..., : segmentation.stride]


def _segmentation(config: CodecConfig) -> Segmentation:
    if config.segments is None:
        raise CapabilityError(f"'{config.name}' doesn't code in segments: use its encode and decode")
    return config.segments


def _fade(config: CodecConfig, segmentation: Segmentation, num_samples: int) -> Tensor:
    """Return the weight of a segment over the one before it, from its first sample on.

    The reference's weights depend on the first segment's decoded length, which is shorter if there is hardly a second.
    """
    decoded = segmentation.frames(0, num_samples, config.hop_length) * config.hop_length
    overlap = max(0, decoded - segmentation.stride)
    return torch.arange(1, overlap + 1) / (overlap + 1)


def _cut(blocks: Iterable[Tensor], segmentation: Segmentation) -> Iterator[Tensor]:
    """Cut [B, C, T], given in blocks, into segments [B, C, at most length]."""
    held: Tensor | None = None
    for block in blocks:
        held = block if held is None else torch.cat([held, block], dim=-1)
        while held.shape[-1] >= segmentation.length:
            yield held[..., : segmentation.length]
            held = held[..., segmentation.stride :]
    while held is not None and held.shape[-1]:
        yield held[..., : segmentation.length]
        held = held[..., segmentation.stride :]


def _decode_each(codec: Codec, segments: Iterable[SegmentedCodes]) -> Iterator[Tensor]:
    """Decode each segment to [B, C, whole hops]."""

    def decode(codes: Tensor) -> tuple[Tensor]:
        return (codec.decoder(codec.quantizer.decode(codes)),)

    for group in _groups(segments, lambda segment: segment.codes):
        (audio,) = _in_rows(decode, torch.cat([segment.codes for segment in group]))
        for part, segment in zip(audio.chunk(len(group)), group, strict=True):
            yield (part * segment.scales[..., None]).clamp(-1, 1)


def _groups(segments: Iterable[Segment], tensor: Callable[[Segment], Tensor]) -> Iterator[list[Segment]]:
    """Gather neighbours of one shape, as many as their device takes at a time."""
    held: list[Segment] = []
    for segment in segments:
        full = held and len(held) * len(tensor(segment)) >= ROWS.get(tensor(segment).device.type, 1)
        if held and (full or tensor(segment).shape != tensor(held[0]).shape):
            yield held
            held = []
        held.append(segment)
    if held:
        yield held


def _in_rows(run: Callable[[Tensor], tuple[Tensor, ...]], inputs: Tensor) -> tuple[Tensor, ...]:
    """Run inputs [M, ...] in parts of equally many rows, the last one filled up with zeros; join each output."""
    rows = ROWS.get(inputs.device.type, 1)
    parts = [[output[: len(part)] for output in run(pad_items(part, rows))] for part in inputs.split(rows)]
    return tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))
