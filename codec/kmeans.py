"""Lloyd's k-means, deterministic for a seed.

Axes: vectors [N, D]; centroids [V, D].
"""

import torch
from torch import Tensor

from codec.nearest import nearest


def sums_by_index(vectors: Tensor, index: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return how many vectors [N, D] each index in [0, size) got, [size], and their sums [size, D]."""
    counts = torch.bincount(index, minlength=size).to(vectors.dtype)
    sums = torch.zeros(size, vectors.shape[1], dtype=vectors.dtype, device=vectors.device)
    return counts, sums.index_add_(0, index, vectors)


def kmeans(vectors: Tensor, size: int, *, iterations: int, generator: torch.Generator) -> Tensor:
    """Return `size` centroids [size, D]; one left without vectors is moved onto a random vector."""

    def draw() -> Tensor:
        if len(vectors) >= size:
            index = torch.randperm(len(vectors), generator=generator)[:size]
        else:
            index = torch.randint(len(vectors), (size,), generator=generator)
        return vectors[index.to(vectors.device)]

    centroids = draw().clone()
    for _ in range(iterations):
        counts, sums = sums_by_index(vectors, nearest(vectors, centroids), size)
        centroids = torch.where(counts[:, None] > 0, sums / counts.clamp_min(1)[:, None], draw())
    return centroids
