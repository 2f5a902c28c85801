"""What is computed from a weight once, until it changes; above all its layout for oneDNN's matrix product.

oneDNN takes weights in blocks of its own. Laying a wide weight out anew costs more than a product of a few rows, and a
stream makes one of them in every call. Its product also gives a row the same bits among any number of rows from 2 on
(measured as in codec/steady.py), and is faster than MKL's where MKL doesn't know the processor.

What was made is kept beside the weight, not in its module: no state dict, copy, pickle or graph has it, and it goes
when the weight does. A change is noticed by torch's count of changes in place and by the place in memory. A write
through `.data` alone, which torch doesn't count, is not, nor is a step of a fused optimizer: whoever trains calls
`forget`.

Axes: rows [N, I]; matrix [O, I].
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from codec.rows import pad_items, steady_items

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Made:
    """What was made of a weight as it was then; `source` shares its memory, so that nothing else can take the place."""

    source: Tensor
    changes: int
    result: Any


_MADE = WeakTensorKeyDictionary()


def remembered(weight: Tensor, make: Callable[[Tensor], Result]) -> Result:
    """Return `make(weight)`, made anew only if the weight changed; each weight has one `make`."""
    if weight.is_inference():
        return make(weight)  # Changes of such a tensor aren't counted.
    made = _MADE.get(weight)
    if made is None or made.changes != weight._version or made.source.data_ptr() != weight.data_ptr():
        made = Made(source=weight.detach(), changes=weight._version, result=make(weight))
        _MADE[weight] = made
    result: Result = made.result
    return result


def forget() -> None:
    """Make everything anew at its next use: weights may have changed uncounted."""
    _MADE.clear()


def rows_of(weight: Tensor) -> Tensor:
    """Lay out a weight [O, ...] as a matrix [O, I]."""
    return _lay_out(weight.flatten(1))


def columns_of(weight: Tensor) -> Tensor:
    """Lay out a weight [I, ...] as a matrix [O, I]."""
    return _lay_out(weight.flatten(1).T.contiguous())


def product(rows: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    """Map rows [N, I] to [N, O] by a matrix that was laid out, each row to the same bits whatever N is."""
    enough = pad_items(rows, _few_numbers(steady_items(len(rows), 1)))
    mapped: Tensor = torch.ops.mkldnn._linear_pointwise(enough, matrix, bias, "none", [], "")
    return mapped[: len(rows)]


def _few_numbers(rows: int) -> int:
    """Return one of few numbers that is at least `rows`: for each, oneDNN compiles a product, and keeps it."""
    step = 8 if rows <= 64 else 16 if rows <= 256 else 32
    return -(-rows // step) * step


def _lay_out(matrix: Tensor) -> Tensor:
    laid_out: Tensor = torch.ops.mkldnn._reorder_linear_weight(matrix)
    return laid_out
