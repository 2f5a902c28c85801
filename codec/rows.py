"""Rows enough for a matrix product to give each row the same bits whatever stands beside it.

A codec chooses codes by comparing sums, so a last bit that depends on how much audio is coded at once could flip a near
tie, and streamed codes would differ from the whole file's. Measured on x86 with MKL, 1 to 16 threads: a row of an fp32
product has the same bits in any product of at least 28 rows, and of at least 4 with one thread; below that other
kernels sum in another order. Depthwise convolutions, layer norms and inverse transforms have no such dependence. So
whatever has too few rows is coded together with silent items. (codec/steady.py is for convolutions and activations.)

Axes: audio [B, C, T]; rows are B * L.
"""

import torch
from torch import Tensor

ROWS_PER_THREAD = 8


def steady_items(items: int, frames: int) -> int:
    """Return how many items of `frames` frames, at least `items`, make rows enough.

    In a graph that is exported it is `items`: whoever runs it has other kernels.
    """
    if torch.compiler.is_exporting():
        return items
    rows = ROWS_PER_THREAD * torch.get_num_threads()
    return max(items, -(-rows // max(frames, 1)))


def pad_items(tensor: Tensor, items: int) -> Tensor:
    """Append zero items to [B, ...] until there are `items`."""
    missing = items - tensor.shape[0]
    return torch.cat([tensor, tensor.new_zeros(missing, *tensor.shape[1:])]) if missing else tensor
