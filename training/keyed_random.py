"""Random choices as a pure function of (seed, purpose, step): a resumed run draws what the uninterrupted one would.

Choices are drawn for the joint batch of all ranks, of which each rank takes its rows, so N ranks draw what one rank
would on the joint batch.
"""

import hashlib

import torch
from torch import Tensor

from codec.distributed import rank, world_size


def keyed_generator(seed: int, purpose: str, step: int) -> torch.Generator:
    """Return a CPU generator for this key."""
    return torch.Generator().manual_seed(keyed_seed(seed, purpose, step))


def keyed_seed(seed: int, *parts: str | int) -> int:
    """Hash a key to a seed of 63 bits."""
    digest = hashlib.blake2b(repr((seed, *parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def joint_uniform(count: int, generator: torch.Generator) -> Tensor:
    """Return this rank's `count` of the joint batch's uniform draws in [0, 1)."""
    return torch.rand(count * world_size(), generator=generator)[rank() * count :][:count]


def joint_integers(high: int, count: int, generator: torch.Generator) -> Tensor:
    """Return this rank's `count` of the joint batch's integers in [0, high)."""
    return torch.randint(high, (count * world_size(),), generator=generator)[rank() * count :][:count]
