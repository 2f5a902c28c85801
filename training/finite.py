"""Which values of training stopped being finite, remembered on the device, so that no step waits for the answer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor

from codec.distributed import world_size

NEVER = 2**62


class FiniteWatch:
    """For each named value, the first step at which it was NaN or infinite."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, ...], Tensor] = {}

    def see(self, step: int, prefix: str, values: Mapping[str, Tensor]) -> None:
        """Look at the scalars of a step, without waiting for them; `prefix` is that of their names in the logs."""
        names = tuple(f"{prefix}/{name}" for name in values)
        broken = ~torch.stack([value.detach().float() for value in values.values()]).isfinite()
        first = self._first.get(names)
        if first is None:
            first = torch.full((len(names),), NEVER, device=broken.device)
        self._first[names] = torch.where(broken, first.clamp_max(step), first)

    def is_broken(self, device: torch.device) -> Tensor:
        """Return a scalar 1.0 on `device` if any value of this rank was not finite, else 0.0."""
        if not self._first:
            return torch.zeros((), device=device)
        return (torch.cat(list(self._first.values())) < NEVER).any().float()

    def first_broken(self) -> tuple[int, list[str]]:
        """Return the first step at which a value of any rank was not finite, and the names of those; all ranks ask."""
        firsts = torch.cat(list(self._first.values()))
        if world_size() > 1:
            dist.all_reduce(firsts, op=dist.ReduceOp.MIN)
        step = int(firsts.min())
        names = [name for group in self._first for name in group]
        return step, [name for name, first in zip(names, firsts.tolist(), strict=True) if first == step]
