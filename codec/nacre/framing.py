"""Cut audio into overlapping frames, and add overlapping frames up to audio.

Both are centred: frame l covers hop l and `(length - hop) / 2` samples of context before and after it.

Axes: audio [B, C, T]; frames [B, L, C, N]; N samples a frame, T = L * hop.
"""

import torch.nn.functional as F
from torch import Tensor


def split_frames(audio: Tensor, length: int, hop: int) -> Tensor:
    """Cut audio [B, C, L * hop] into frames [B, L, C, length], zeros beyond the ends."""
    assert audio.shape[-1] % hop == 0
    context = length - hop
    padded = F.pad(audio, (context // 2, context - context // 2))
    return padded.unfold(-1, length, hop).transpose(1, 2)


def overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Add frames [B, L, C, length] up to audio [B, C, L * hop]; what lies beyond the ends is dropped."""
    batch, count, channels, length = frames.shape
    columns = frames.permute(0, 2, 3, 1).reshape(batch * channels, length, count)
    total = (count - 1) * hop + length
    audio = F.fold(columns, (1, total), (1, length), stride=(1, hop))
    start = (length - hop) // 2
    return audio.reshape(batch, channels, total)[..., start : start + count * hop]
