"""Work on rows in pieces that stay in a core's cache.

Wide layers make many numbers of a row, which the next one reads again: a thousand rows of 768 or 1024 numbers don't fit
into a core's cache, and memory that is taken for them anew has to be cleared first. A row gets the same bits whatever
stands beside it (codec/rows.py), so it is no matter where rows are cut.

Axes: rows [N, ...].
"""

from collections.abc import Callable

import torch
from torch import Tensor

from codec.steady import steady

# Numbers that a piece of one thread makes: 1 MiB, a core's cache. Half of it or half as much again is no slower.
PIECE = 4 << 16
# Rows of a piece are a multiple of this: rows filled up are work for nothing (codec/laid_out.py).
ALIGNED = 32


def map_pieces(work: Callable[[Tensor], Tensor], rows: Tensor, width: int) -> Tensor:
    """Return `work(rows)`, where `work` makes `width` numbers of each row on the way and treats each by itself.

    In training, export and on other devices it is one call.
    """
    if not steady(rows):
        return work(rows)
    size = max(ALIGNED, PIECE // width // ALIGNED * ALIGNED) * torch.get_num_threads()
    count = max(1, round(len(rows) / size))  # so that none is less than half of one
    pieces = rows.tensor_split([size * number for number in range(1, count)])
    return torch.cat([work(piece) for piece in pieces]) if count > 1 else work(rows)
