"""Convolutions and an activation that give each sample the same bits whatever stands beside it.

codec/rows.py says why that matters, and does it for matrix products. Measured on x86 (AVX-512), 1 to 16 threads, inputs of
1 to 24,000 samples, 1 to 16 items, every layer of SEANet and DAC:

 - `conv1d` takes oneDNN for large inputs and an unfolded MKL product for small ones: up to 1e-5 apart. oneDNN alone gives
   every output the same bits at every length and in every batch, so in inference on a CPU it is called by its name.
 - `elu` takes another exponential for the last elements of an array, or of a thread's share: 6e-8 apart. `expm1`, `sin`
   and `tanh` don't.

Training, export and other devices take torch's own functions: the same formulas, and there the promise is 1e-5.

Axes: hidden [B, C, T].
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def steady(hidden: Tensor) -> bool:
    """Tell whether `hidden` is to be computed with the same bits everywhere: inference in fp32 on a CPU with oneDNN."""
    eager = torch.is_inference_mode_enabled() and not torch.compiler.is_compiling()
    return eager and hidden.device.type == "cpu" and hidden.dtype == torch.float32 and torch.backends.mkldnn.is_available()


class SteadyConv1d(nn.Conv1d):
    """A convolution in time of [B, C, T], zeros beyond the ends."""

    def forward(self, input: Tensor) -> Tensor:
        """Map [B, C, T] to [B, C', T']."""
        if not steady(input):
            return super().forward(input)
        (padding,), (stride,), (dilation,) = self.padding, self.stride, self.dilation
        sizes = ((0, int(padding)), (1, stride), (1, dilation), self.groups)
        mapped: Tensor = torch.ops.aten.mkldnn_convolution(input[:, :, None], self.weight[:, :, None], self.bias, *sizes)
        return mapped[:, :, 0]


class SteadyELU(nn.Module):
    """The exponential linear unit: x above zero, exp(x) - 1 below."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden [...] to [...]."""
        if not steady(hidden):
            return F.elu(hidden)
        return torch.maximum(hidden, hidden.clamp_max(0).expm1_())
