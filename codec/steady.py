"""Convolutions and an activation that give each sample the same bits whatever stands beside it.

codec/rows.py says why that matters, and does it for matrix products. Measured on x86 with AVX-512, 1, 2 and 16 threads,
stretches of 1 to 3000 outputs of the layers of SEANet and DAC within long ones:

 - `conv1d` takes oneDNN for large inputs and an unfolded MKL product for small ones: up to 1e-5 apart. oneDNN alone
   gives every output the same bits at every length, so in inference on a CPU it is called by its name. Unfolding by
   ourselves, with rows enough, does too; at high rates it takes twice the time of a long file, but where weights are
   many and outputs few it takes the same, and a fourth in a stream (codec/laid_out.py).
 - `elu` takes another exponential for elements that don't fill a vector, at the end of an array or of a thread's share:
   6e-8 apart. So it gets whole vectors, and shares of whole vectors. `expm1`, `sin` and `tanh` have no such dependence.

Training, export and other devices take torch's own functions: the same formulas, and there the promise is 1e-5.

Axes: hidden [B, C, T].
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.laid_out import product, remembered, rows_of

# Elements of whole vectors on every machine; that torch gives to one thread alone; and of a thread's share, of which
# torch hands out no part to another.
VECTORS = 64
ALONE = 2**15 - VECTORS
SHARE = 2**16


def steady(hidden: Tensor) -> bool:
    """Tell whether `hidden` is to be mapped with the same bits everywhere: inference in fp32 on a CPU with oneDNN."""
    eager = not torch.compiler.is_compiling() and torch.is_inference_mode_enabled()
    native = hidden.device.type == "cpu" and hidden.dtype == torch.float32
    return eager and native and torch.backends.mkldnn.is_available()


class SteadyConv1d(nn.Conv1d):
    """A convolution in time of [B, C, T], zeros beyond the ends."""

    def forward(self, input: Tensor) -> Tensor:
        """Map [B, C, T] to [B, C', T']."""
        if not steady(input):
            return super().forward(input)
        padding = self.padding[0]
        assert isinstance(padding, int)
        sizes = ((0, padding), (1, self.stride[0]), (1, self.dilation[0]), self.groups)
        inputs, weight = input[:, :, None], self.weight[:, :, None]
        mapped: Tensor = torch.ops.aten.mkldnn_convolution(inputs, weight, self.bias, *sizes)
        return mapped[:, :, 0]


class UnfoldedConv1d(SteadyConv1d):
    """One whose weights are many and whose outputs few: as a product with a matrix that is laid out once."""

    def forward(self, input: Tensor) -> Tensor:
        """Map [B, C, T] to [B, C', T']."""
        if not steady(input):
            return super().forward(input)
        rows = input.unfold(-1, self.kernel_size[0], self.stride[0]).transpose(1, 2).flatten(2)
        mapped = product(rows.flatten(0, 1), remembered(self.weight, rows_of), self.bias)
        return mapped.unflatten(0, rows.shape[:2]).transpose(1, 2).contiguous()


class SteadyLinear(nn.Linear):
    """A matrix product of the last axis: oneDNN's in inference on a CPU, with the weight laid out once."""

    def forward(self, input: Tensor) -> Tensor:
        """Map [..., I] to [..., O]."""
        if not steady(input):
            return super().forward(input)
        matrix = remembered(self.weight, rows_of)
        return product(input.flatten(0, -2), matrix, self.bias).unflatten(0, input.shape[:-1])


class SteadyELU(nn.Module):
    """The exponential linear unit, x above zero and exp(x) - 1 below; it may overwrite its input."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden [...] to [...]."""
        if not steady(hidden):
            return F.elu(hidden, inplace=True)
        hidden = hidden.contiguous()
        values = hidden.view(-1)
        for piece in _even_pieces(len(values)):
            F.elu_(values[piece])
        rest = len(values) % VECTORS
        if rest:
            last = values[-rest:]
            last.copy_(F.elu(F.pad(last, (0, VECTORS - rest)))[:rest])
        return hidden


def _even_pieces(length: int) -> Iterator[slice]:
    """Cut `length` elements, less than VECTORS at the end left over, so that each thread's share is whole vectors."""
    threads = torch.get_num_threads()
    share = VECTORS if threads == 1 else SHARE * threads
    start, end = length // share * share, length // VECTORS * VECTORS
    if start:
        yield slice(0, start)
    for piece in range(start, end, ALONE):
        yield slice(piece, min(piece + ALONE, end))
