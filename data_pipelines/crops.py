"""Crops: a segment of a record, as float audio.

Axes: records int16 [T, C]; crops float32 [C, T].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from codec.audio import fit_length


def cut(samples: NDArray[np.int16], offset: int, num_samples: int) -> NDArray[np.int16]:
    """Copy [T, C] from `offset` on, at most `num_samples`: a copy, so that the shard's memory can go."""
    return samples[offset : offset + num_samples].copy()


def room(samples: NDArray[np.int16], num_samples: int) -> int:
    """Return the largest offset at which a crop of `num_samples` fits; 0 for a record that is too short."""
    return max(0, len(samples) - num_samples)


def to_audio(samples: NDArray[np.int16], num_samples: int | None = None) -> torch.Tensor:
    """Return int16 [T, C] as float32 [C, T] in [-1, 1); zero-padded or cut to `num_samples` if given."""
    audio = np.ascontiguousarray(samples.T.astype(np.float32) / 32768.0)
    return torch.from_numpy(audio if num_samples is None else fit_length(audio, num_samples))


def to_batch(crops: Sequence[NDArray[np.int16]], num_samples: int) -> torch.Tensor:
    """Return crops int16 [T, C] as float32 [B, C, num_samples] in [-1, 1), each zero-padded to `num_samples`."""
    audio = np.zeros((len(crops), crops[0].shape[1], num_samples), np.float32)
    for item, samples in zip(audio, crops, strict=True):
        np.multiply(samples.T, np.float32(1 / 32768), out=item[:, : len(samples)])
    return torch.from_numpy(audio)
