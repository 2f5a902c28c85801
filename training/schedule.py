"""Learning rate: linear warm-up, then a cosine to zero or an exponential decay."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def warmup_then_fall(
    optimizer: Optimizer, warmup_steps: int, total_steps: int, decay_per_step: float | None
) -> LambdaLR:
    """Return a schedule that reaches the peak after `warmup_steps`, then falls.

    By `decay_per_step` at every step; without one along a cosine, to zero after `total_steps`.
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        if decay_per_step is not None:
            return decay_per_step ** (step - warmup_steps)
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return LambdaLR(optimizer, factor)
