"""Encode items of different lengths in one call, each to the codes that it gets alone.

Axes: audio [B, C, T]; codes [B, K, L].
"""

from __future__ import annotations

import torch
from torch import Tensor

from codec.checks import check
from codec.model import Codec
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
    in `audio` beyond an item's length has no effect. A family whose encoder can't mask goes item by item.

    Raises:
        BitrateError: Both choices were given, or the codec has no such number or bitrate.
        ValueError: A length is not from 1 to T.
    """
    shortest, longest = int(lengths.min()), int(lengths.max())
    check(shortest >= 1 and longest <= audio.shape[-1], "lengths", (shortest, longest), f"from 1 to {audio.shape[-1]}")
    stages = codec.config.resolve_num_quantizers(num_quantizers, bitrate_kbps)
    if not isinstance(codec.encoder, Encoder):
        return _encode_alone(codec, audio, lengths, stages)
    lengths = lengths.to(audio.device)
    audio = audio * (torch.arange(audio.shape[-1], device=audio.device) < lengths[:, None])[:, None]
    frames = codec.config.num_frames(audio.shape[-1])
    counts = (lengths + codec.config.hop_length - 1) // codec.config.hop_length
    inside = torch.arange(frames, device=audio.device) < counts[:, None]
    items = steady_items(len(audio), frames)
    latents = codec.encoder(pad_items(audio, items), inside=pad_items(inside, items))
    return codec.quantizer.encode(latents, stages)[: len(audio)] * inside[:, None]


def _encode_alone(codec: Codec, audio: Tensor, lengths: Tensor, stages: int) -> Tensor:
    codes = torch.zeros(len(audio), stages, codec.config.num_frames(audio.shape[-1]), dtype=torch.long)
    codes = codes.to(audio.device)
    for item, length in enumerate(lengths.tolist()):
        alone = codec.encode(audio[item : item + 1, :, :length], num_quantizers=stages)[0]
        codes[item, :, : alone.shape[-1]] = alone
    return codes
