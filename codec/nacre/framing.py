"""Cut audio into overlapping frames, and add overlapping frames up to audio.

Frame l covers hop l, `before` samples ahead of it, and what is left of its length after it. Centred framing has half of
`length - hop` before; causal framing has all of it, so that no sample after hop l is touched.

Axes: audio [B, C, T]; frames [B, L, C, N]; N samples a frame, T = L * hop.
"""

import torch.nn.functional as F
from torch import Tensor


def split_frames(audio: Tensor, length: int, hop: int, before: int) -> Tensor:
    """Cut audio [B, C, L * hop] into frames [B, L, C, length], zeros beyond the ends."""
    assert audio.shape[-1] % hop == 0
    padded = F.pad(audio, (before, length - hop - before))
    return padded.unfold(-1, length, hop).transpose(1, 2)


def overlap_add(frames: Tensor, hop: int, before: int) -> Tensor:
    """Add frames [B, L, C, length] up to audio [B, C, L * hop]; what lies beyond the ends is dropped."""
    return add_up(frames, hop)[..., before : before + frames.shape[1] * hop]


def extend_sum(frames: Tensor, hop: int, tail: Tensor) -> tuple[Tensor, Tensor]:
    """Add frames [B, L, C, length] onto `tail` [B, C, length - hop], what earlier ones left.

    Return the samples [B, C, L * hop] that no later frame touches, and the next tail.
    """
    total = add_up(frames, hop)
    total = total + F.pad(tail, (0, total.shape[-1] - tail.shape[-1]))
    final = frames.shape[1] * hop
    return total[..., :final], total[..., final:]


def add_up(frames: Tensor, hop: int) -> Tensor:
    """Add frames [B, L, C, length] up to all they cover, [B, C, (L - 1) * hop + length]."""
    batch, count, channels, length = frames.shape
    columns = frames.permute(0, 2, 3, 1).reshape(batch * channels, length, count)
    total = (count - 1) * hop + length
    return F.fold(columns, (1, total), (1, length), stride=(1, hop)).reshape(batch, channels, total)
