"""The nearest entries of codebooks.

Axes: vectors [N, D]; codebook [V, D]; codebooks [K, V, D].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from codec.laid_out import product, rows_of

GROUPS = 16


def nearest(vectors: Tensor, codebook: Tensor) -> Tensor:
    """Return, for each vector [N, D], the index [N] of its nearest entry [V, D] in the Euclidean sense.

    Of equally near ones it is the first.
    """
    scores = vectors @ codebook.T
    scores += _offsets(codebook)
    return _argmax(scores)


@dataclass(frozen=True)
class SearchTable:
    """One codebook for inference on a CPU: its entries laid out for oneDNN's product, and what to add to it [V]."""

    entries: Tensor
    offsets: Tensor

    def nearest(self, vectors: Tensor) -> Tensor:
        """Return what `nearest` returns, but where entries are equally near to rounding."""
        # numpy finds the place of a maximum with vector instructions too, in a third of the time of `_argmax`.
        return torch.from_numpy(product(vectors, self.entries, self.offsets).numpy().argmax(1))


def search_tables(codebooks: Tensor) -> list[SearchTable]:
    """Return the K tables of codebooks [K, V, D]."""
    return [SearchTable(rows_of(codebook), _offsets(codebook)) for codebook in codebooks]


def _offsets(codebook: Tensor) -> Tensor:
    """Return what a product with each entry lacks to order entries by their distance."""
    return codebook.square().sum(1) / -2


def _argmax(scores: Tensor) -> Tensor:
    """Return `scores.argmax(1)` for scores [N, V], by groups: a maximum is vectorised on CPUs, its place is not."""
    rows, size = scores.shape
    if size % GROUPS:
        return scores.argmax(1)
    members = size // GROUPS
    best = scores.view(rows, GROUPS, members).amax(2).argmax(1)
    first = torch.arange(0, rows * GROUPS, GROUPS, device=scores.device)
    within = scores.view(rows * GROUPS, members).index_select(0, first + best).argmax(1)
    return best * members + within
