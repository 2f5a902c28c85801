"""The context model of codec/entropy/mixture.py in floating point, to be learned, and its rounding to integers.

Axes: codes [N, F, K]; K stages, V codes, R features of a code, M = 3R features of a context, C classes.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from codec.entropy.tables import TABLE_BITS, EntropyTables

# A feature is an integer from -127 to 127 here as 1.0; a logit counts 2048 steps to the octave.
FEATURE_STEPS = 127
LOGIT_STEPS = 2048


class ContextModel(nn.Module):
    """Mixture of fixed distributions, weighed by the codes before; K at most `counts.shape[0]`.

    It starts from how often each code occurs: `counts` [K, V].
    """

    def __init__(self, counts: Tensor, num_features: int, num_classes: int, generator: torch.Generator) -> None:
        super().__init__()
        stages, codes = counts.shape

        def normal(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator)

        self.num_features = num_features
        self.earlier = nn.Parameter(0.05 * normal(stages, codes, num_features))
        self.before = nn.Parameter(0.05 * normal(stages, codes, num_features))
        self.gates = nn.Parameter(0.5 * normal(stages, 3 * num_features, num_classes))
        self.biases = nn.Parameter(torch.zeros(stages, num_classes))
        frequent = ((counts + 1) / (counts + 1).sum(1, keepdim=True)).log()
        self.logits = nn.Parameter(frequent[:, None] + 0.3 * normal(stages, num_classes, codes))

    def forward(self, codes: Tensor) -> Tensor:
        """Return the bits [N, F, K] that each of codes [N, F, K] costs, each item beginning without a past."""
        frames, stages = codes.shape[1:]
        steps = torch.arange(stages, device=codes.device)
        earlier = self.earlier[steps, codes]
        # Exclusive sums over the stages of a frame; sums over all stages of the frames before.
        earlier = F.pad(earlier.cumsum(2), (0, 0, 1, 0))[:, :, :-1]
        past = F.pad(self.before[steps, codes].sum(2), (0, 0, 2, 0))
        context = torch.cat([past[:, 1 : frames + 1], past[:, :frames]], dim=2)
        features = torch.cat([earlier, context[:, :, None].expand(-1, -1, stages, -1)], dim=3).clamp(-1, 1)
        weights = torch.einsum("nfkm,kmc->nfkc", features, self.gates[:stages]) + self.biases[:stages]
        classes = self.logits[:stages].log_softmax(2).transpose(1, 2)[steps, codes]
        return torch.logsumexp(weights.log_softmax(3) + classes, dim=3) / -math.log(2)

    @torch.no_grad()
    def to_tables(self) -> EntropyTables:
        """Round to integers."""
        octaves = LOGIT_STEPS / math.log(2)
        return EntropyTables(
            earlier=_int8(self.earlier * FEATURE_STEPS),
            before=_int8(self.before * FEATURE_STEPS),
            gates=_int8(self.gates * octaves / FEATURE_STEPS),
            biases=(self.biases * octaves).round().int().numpy(),
            sizes=round_distributions(self.logits.softmax(2).double().numpy()),
        )


def round_distributions(probabilities: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Round probabilities [..., V] to integers of at least 1 and 2**14 in sum; the most likely one takes the rest."""
    total = 1 << TABLE_BITS
    spare = total - probabilities.shape[-1]
    sizes = 1 + np.floor(probabilities * spare).astype(np.int64)
    largest = sizes.argmax(axis=-1, keepdims=True)
    rest = total - sizes.sum(axis=-1, keepdims=True)
    np.put_along_axis(sizes, largest, np.take_along_axis(sizes, largest, -1) + rest, -1)
    rounded: NDArray[np.uint16] = sizes.astype(np.uint16)
    return rounded


def _int8(values: Tensor) -> NDArray[np.int8]:
    return values.round().clamp(-127, 127).to(torch.int8).contiguous().numpy()
