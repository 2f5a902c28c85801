"""Validation clips: fixed audio that every validation scores, and the noise it is denoised from.

Axes: audio, noise [1, C, T].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch


class ValidationClip(NamedTuple):
    """One validation batch: the record's key, its audio, and as much noise if there is a data set of noise."""

    key: str
    audio: torch.Tensor
    noise: torch.Tensor | None


class ValidationClips:
    """The validation clips of one rank, as a loader: Lightning takes a list for several loaders."""

    def __init__(self, clips: Sequence[ValidationClip]) -> None:
        self._clips = tuple(clips)

    def __len__(self) -> int:
        return len(self._clips)

    def __iter__(self) -> Iterator[ValidationClip]:
        return iter(self._clips)
