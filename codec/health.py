"""The health of codebooks: how much of each is used, from the moving averages of use that training keeps.

Axes: cluster_sizes [K, V]; results [K]; K stages, V entries.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# A codebook whose perplexity is below this share of its entries has collapsed: of the bits that a code costs, more than
# log2(1 / 0.1) = 3.3 carry nothing.
COLLAPSED_SHARE = 0.1


@dataclass(frozen=True)
class CodebookHealth:
    """How well each stage's codebook is used; all are [K].

    `perplexity` is the exponential of the entropy of use, at most V; `dead_share` is the share of entries used less
    than the configured share of the mean; `expiry_rate` is the share of entries that fell under it in a step, averaged
    over steps. EMA codebooks revive an entry as it falls, so there a high rate at no dead share is a codebook that is
    renewed all the time.
    """

    perplexity: Tensor
    dead_share: Tensor
    expiry_rate: Tensor

    def to_metrics(self) -> dict[str, list[float]]:
        """Return the numbers of each stage by name, as a package's metrics hold them."""
        values = {"perplexity": self.perplexity, "dead_share": self.dead_share, "expiry_rate": self.expiry_rate}
        return {name: [round(value, 6) for value in stages.tolist()] for name, stages in values.items()}


def codebook_health(cluster_sizes: Tensor, expiry_rate: Tensor, dead_share: float) -> CodebookHealth:
    """Return the health that averages of use [K, V] and of expiries [K] show."""
    share = cluster_sizes / cluster_sizes.sum(1, keepdim=True)
    return CodebookHealth(
        perplexity=torch.special.entr(share).sum(1).exp(),
        dead_share=dead_entries(cluster_sizes, dead_share).float().mean(1),
        expiry_rate=expiry_rate.clone(),
    )


def dead_entries(cluster_sizes: Tensor, dead_share: float) -> Tensor:
    """Return which entries [K, V] are used less than `dead_share` of their stage's mean."""
    return cluster_sizes < dead_share * cluster_sizes.mean(1, keepdim=True)


def has_collapsed(perplexity: float, codebook_size: int) -> bool:
    """Tell whether a stage of that perplexity uses too little of its codebook."""
    return perplexity < COLLAPSED_SHARE * codebook_size
