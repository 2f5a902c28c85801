"""Code items of different lengths in one call, each to the codes and the audio that it gets alone.

Beyond an item's end each layer must see its own padding, not what layers before it make of zeros. The networks of
`nacre` mask their layers, so all items go at once. Elsewhere items of equal length go together: strided layers pad each
length by a rule of their own, which no mask on a longer item gives.

Axes: audio [B, C, T]; codes [B, K, L].
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from codec.checks import check
from codec.item_groups import map_items
from codec.model import Codec
from codec.nacre.decoder import Decoder
from codec.nacre.encoder import Encoder
from codec.rows import pad_items, steady_items


@torch.inference_mode()
def encode_ragged(
    codec: Codec,
    audio: Tensor,
    lengths: Tensor,
    *,
    num_quantizers: int | None = None,
    bitrate_kbps: float | None = None,
) -> Tensor:
    """Encode the first `lengths[b]` samples of each item of audio [B, C, T] to codes [B, K, L].

    `lengths` [B] is int64. Item b has `ceil(lengths[b] / hop_length)` frames; the codes after those are 0. What stands
    in `audio` beyond an item's length has no effect.

    Raises:
        BitrateError: Both choices were given, or the codec has no such number or bitrate.
        ValueError: A length is not from 1 to T.
    """
    _check_lengths("lengths", lengths, audio.shape[-1])
    stages = codec.config.resolve_num_quantizers(num_quantizers, bitrate_kbps)
    if not isinstance(codec.encoder, Encoder):
        return _encode_groups(codec, audio, lengths, stages)
    lengths = lengths.to(audio.device)
    audio = audio * (torch.arange(audio.shape[-1], device=audio.device) < lengths[:, None])[:, None]
    frames = codec.config.num_frames(audio.shape[-1])
    counts = (lengths + codec.config.hop_length - 1) // codec.config.hop_length
    inside = torch.arange(frames, device=audio.device) < counts[:, None]
    items = steady_items(len(audio), frames)
    latents = codec.encoder(pad_items(audio, items), inside=pad_items(inside, items))
    return codec.quantizer.encode(latents, stages)[: len(audio)] * inside[:, None]


@torch.inference_mode()
def decode_ragged(codec: Codec, codes: Tensor, frame_counts: Tensor) -> Tensor:
    """Decode the first `frame_counts[b]` frames of each item of codes [B, K, L] to audio [B, C, L * hop_length].

    `frame_counts` [B] is int64. The audio of item b is what it gives alone, then zeros.

    Raises:
        ValueError: A count is not from 1 to L.
    """
    _check_lengths("frame_counts", frame_counts, codes.shape[-1])
    hop = codec.config.hop_length
    if isinstance(codec.decoder, Decoder):
        inside = torch.arange(codes.shape[-1], device=codes.device) < frame_counts.to(codes.device)[:, None]
        decoded = map_items(codec.decoder, codes.shape[-1] * hop, codec.quantizer.decode(codes), inside)
        return decoded.clamp(-1, 1) * inside.repeat_interleave(hop, dim=1)[:, None]
    audio = torch.zeros(len(codes), codec.config.channels, codes.shape[-1] * hop, device=codes.device)
    for count, items in _groups(frame_counts):
        audio[items, :, : count * hop] = codec.decode(codes[items, :, :count])
    return audio


def _encode_groups(codec: Codec, audio: Tensor, lengths: Tensor, stages: int) -> Tensor:
    frames = codec.config.num_frames(audio.shape[-1])
    codes = torch.zeros(len(audio), stages, frames, dtype=torch.long, device=audio.device)
    for length, items in _groups(lengths):
        alone = codec.encode(audio[items, :, :length], num_quantizers=stages)
        codes[items, :, : alone.shape[-1]] = alone
    return codes


def _groups(lengths: Tensor) -> Iterator[tuple[int, list[int]]]:
    """Yield each length that occurs in [B], and the items that have it."""
    items: dict[int, list[int]] = {}
    for item, length in enumerate(lengths.tolist()):
        items.setdefault(length, []).append(item)
    yield from items.items()


def _check_lengths(name: str, lengths: Tensor, most: int) -> None:
    shortest, longest = int(lengths.min()), int(lengths.max())
    check(shortest >= 1 and longest <= most, name, (shortest, longest), f"from 1 to {most}")
