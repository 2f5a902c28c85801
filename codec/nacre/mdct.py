"""The modified discrete cosine transform of two hops, and its sine counterpart.

MDCT: Princen, Johnson, Bradley 1987, with the sine window; together with the sine transform (MDST) of the same frame it
gives the power at each frequency, which the MDCT alone sees only at one phase.

Axes: N = 2 * hop samples a frame; K = hop frequencies, of which k lies at (k + 0.5) / (2 * hop) of the sample rate.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def mdct_basis(hop_length: int) -> Tensor:
    """Return the windowed MDCT basis [N, K] in fp64; its columns are orthonormal under overlap-add."""
    return _basis(hop_length, torch.cos)


def mdst_basis(hop_length: int) -> Tensor:
    """Return the windowed MDST basis [N, K] in fp64."""
    return _basis(hop_length, torch.sin)


def _basis(hop_length: int, wave: Callable[[Tensor], Tensor]) -> Tensor:
    n = torch.arange(2 * hop_length, dtype=torch.float64)
    k = torch.arange(hop_length, dtype=torch.float64)
    window = torch.sin(math.pi * (n + 0.5) / (2 * hop_length))
    phase = math.pi / hop_length * (n[:, None] + 0.5 + hop_length / 2) * (k[None] + 0.5)
    return math.sqrt(2 / hop_length) * wave(phase) * window[:, None]
