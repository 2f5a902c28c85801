"""Gradient balancer: weights say which share of the reconstruction's gradient each loss has, whatever its scale.

Source: EnCodec (arXiv 2210.13438, section 3.4). Each loss's gradient at the reconstruction is divided by the moving
average of its norm and multiplied by its share of the weights. Our deviations: the norm is that of the gradient of one
item's loss, meaned over the items of all ranks, and gradients are means over items, so that the step depends neither
on the batch size nor on how many ranks share it (the released code's is larger by the items of a rank).

Axes: reconstruction, gradient [B, C, T]; norms [N]; N losses.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from codec.distributed import sum_over_ranks, world_size

# About a thousand steps of memory, as published.
DECAY = 0.999
NORM_FLOOR = 1e-12


class GradientBalancer(nn.Module):
    """Balance losses by moving averages of their gradients' norms, which a checkpoint holds.

    Args:
        weights: Weight of each loss by name; those of weight 0 don't count.
    """

    norm_sums: Tensor
    norm_counts: Tensor

    def __init__(self, weights: dict[str, float]) -> None:
        super().__init__()
        self.weights = {name: weight for name, weight in weights.items() if weight > 0}
        # The average is their quotient, so that it is no average with zero in the beginning.
        self.register_buffer("norm_sums", torch.zeros(len(self.weights)))
        self.register_buffer("norm_counts", torch.zeros(len(self.weights)))

    def forward(self, losses: dict[str, Tensor], reconstruction: Tensor) -> Tensor:
        """Return a scalar whose gradient at the reconstruction [B, C, T] is the balanced one of `losses`.

        On every rank the same losses must be given.
        """
        given = [name for name in self.weights if name in losses]
        gradients = [torch.autograd.grad(losses[name], reconstruction, retain_graph=True)[0].float() for name in given]
        norms = self._average(given, gradients)
        total = sum(self.weights[name] for name in given)
        with torch.no_grad():
            shares = [self.weights[name] / total / norm for name, norm in zip(given, norms, strict=True)]
            balanced = torch.stack([share * g for share, g in zip(shares, gradients, strict=True)]).sum(0)
        return (reconstruction.float() * balanced).sum()

    @torch.no_grad()
    def _average(self, names: Sequence[str], gradients: Sequence[Tensor]) -> Tensor:
        """Move the averages of `names` by this step's gradients over all ranks, and return them."""
        items = [gradient.flatten(1).norm(dim=1).mean() * len(gradient) for gradient in gradients]
        joint = sum_over_ranks(torch.stack(items)) / world_size()
        order = list(self.weights)
        index = torch.tensor([order.index(name) for name in names], device=joint.device)
        sums = self.norm_sums[index] * DECAY + joint
        counts = self.norm_counts[index] * DECAY + 1
        self.norm_sums[index] = sums
        self.norm_counts[index] = counts
        return (sums / counts).clamp_min(NORM_FLOOR)
