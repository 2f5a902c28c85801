"""Collectives for codebooks: identities on one process, sums over all ranks otherwise.

Asked at each call, never at construction: a quantizer may be built before the process group is.
"""

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Return the number of ranks, 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return this process's rank, 0 without a process group."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Sum `tensor` over all ranks in place and return it."""
    if world_size() > 1:
        dist.all_reduce(tensor)
    return tensor


def sample_rows(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw `count` rows, with replacement, from the joint batch of all ranks: the same ones on every rank.

    `rows` is [N, D] with equal N everywhere; the joint batch is the ranks' rows in rank order, so the draw equals that
    of one process that holds them all. `generator` is a CPU generator in the same state on every rank.
    """
    total = len(rows) * world_size()
    index = torch.randint(total, (count,), generator=generator).to(rows.device)
    if world_size() == 1:
        return rows[index]
    mine = index // len(rows) == rank()
    drawn = torch.where(mine[:, None], rows[index % len(rows)], torch.zeros((), dtype=rows.dtype, device=rows.device))
    return sum_over_ranks(drawn)
