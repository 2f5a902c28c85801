"""Layers in the words that ONNX has, swapped into a copy of a codec before it is exported.

Torch's exporter has no LSTM of unknown length, and what Python decides by a length, or
loops over, would be fixed in the graph. Each class here computes what its parent does, by other means.

Axes: hidden [B, C, T]; steps [B, L, C].
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.config import QuantizerConfig
from codec.factorized import FactorizedResidualVectorQuantizer
from codec.model import Codec
from codec.quantizer import ResidualVectorQuantizer
from codec.seanet.convolution import PaddedConv, pad

LSTM_VERSION = 14  # of ONNX's operator, the one that opset 18 has


class AnyLengthConv(PaddedConv):
    """Padding by reflection without asking whether the audio is long enough for it."""

    def pad(self, hidden: Tensor) -> Tensor:
        """Pad hidden [B, C, T] for ceil(T / stride) outputs."""
        length = hidden.shape[-1]
        after = self.after + -length % self.stride
        if self.padding == "reflect" and self.before + self.after + self.stride > 1:
            missing = torch.sym_max(torch.sym_max(self.before, after) + 1 - length, 0)
            longer = F.pad(hidden, (0, missing))
            return F.pad(longer, (self.before, after), "reflect")[..., : self.before + length + after]
        return pad(hidden, self.before, after, self.padding)


class OperatorLSTM(nn.LSTM):
    """ONNX's own LSTM operator for each layer; batch first, forward in time, with biases."""

    def forward(  # type: ignore[override]  # torch's declares packed sequences too
        self, steps: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Map steps [B, L, C] to [B, L, H], from the state (both [layers, B, H]) or from zeros; also give the next."""
        hidden = steps.transpose(0, 1)
        start = hidden.new_zeros(self.num_layers, hidden.shape[1], self.hidden_size)
        outputs, cells = state or (start, start)
        last_outputs, last_cells = [], []
        for layer in range(self.num_layers):
            hidden, output, cell = self._layer(hidden, layer, outputs[layer][None], cells[layer][None])
            last_outputs.append(output)
            last_cells.append(cell)
        return hidden.transpose(0, 1), (torch.cat(last_outputs), torch.cat(last_cells))

    def prepare(self) -> None:
        """Lay each layer's weights out as the operator takes them."""
        for layer in range(self.num_layers):
            kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            weights, recurrent, *biases = (_reordered(getattr(self, f"{kind}_l{layer}")) for kind in kinds)
            self.register_buffer(f"operator_weights_{layer}", weights, persistent=False)
            self.register_buffer(f"operator_recurrent_{layer}", recurrent, persistent=False)
            self.register_buffer(f"operator_biases_{layer}", torch.cat(biases, dim=-1), persistent=False)

    def _layer(self, steps: Tensor, layer: int, output: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map steps [L, B, C], from output and cell, both [1, B, H], to [L, B, H] and both at the end."""
        weights, recurrent, biases = (
            getattr(self, f"operator_{kind}_{layer}") for kind in ("weights", "recurrent", "biases")
        )
        length, batch, _ = steps.shape
        results = torch.onnx.ops.symbolic_multi_out(
            "LSTM",
            (steps, weights, recurrent, biases, None, output, cell),
            {"hidden_size": self.hidden_size},
            dtypes=(steps.dtype,) * 3,
            shapes=((length, 1, batch, self.hidden_size), output.shape, cell.shape),
            version=LSTM_VERSION,
        )
        return results[0][:, 0], results[1], results[2]


def _reordered(weight: Tensor) -> Tensor:
    """Put torch's gates [4 H, ...] (input, forget, cell, output) into ONNX's order: input, output, forget, cell."""
    gates = weight.detach().chunk(4)
    return torch.cat([gates[0], gates[3], gates[1], gates[2]])[None]


class AnyDepthQuantizer(ResidualVectorQuantizer):
    """Decoding of any number of stages by one look-up in all codebooks."""

    def decode(self, codes: Tensor) -> Tensor:
        """Map codes [B, K, L] to quantized [B, D, L]."""
        return F.embedding(_places(codes, self.config), self.codebooks.flatten(0, 1)).sum(1).transpose(1, 2)


class AnyDepthFactorizedQuantizer(FactorizedResidualVectorQuantizer):
    """Decoding of any number of stages by one look-up and one product with all projections."""

    def decode(self, codes: Tensor) -> Tensor:
        """Map codes [B, K, L] to quantized [B, D, L]."""
        stages, count = self._stages(), codes.shape[1]
        codebooks = torch.cat([stage.codebook for stage in stages])
        entries = F.embedding(_places(codes, self.config).transpose(1, 2), codebooks).flatten(2)
        weight = torch.cat([stage.out_proj.weight for stage in stages], dim=1)[:, : entries.shape[-1]]
        bias = torch.stack([stage.out_proj.bias for stage in stages])[:count].sum(0)
        return F.linear(entries, weight, bias).transpose(1, 2)


def _places(codes: Tensor, config: QuantizerConfig) -> Tensor:
    """Return where the entries of codes [B, K, L] are in all codebooks one after the other."""
    return codes + config.codebook_size * torch.arange(codes.shape[1], device=codes.device)[:, None]


# What is computed by another class once it is to be exported.
REPLACEMENTS: dict[type[nn.Module], type[nn.Module]] = {
    PaddedConv: AnyLengthConv,
    nn.LSTM: OperatorLSTM,
    ResidualVectorQuantizer: AnyDepthQuantizer,
    FactorizedResidualVectorQuantizer: AnyDepthFactorizedQuantizer,
}


def in_onnx_words(codec: Codec) -> Codec:
    """Return a copy of the codec, in evaluation mode, whose layers can all be exported."""
    exportable = copy.deepcopy(codec).eval().requires_grad_(False)
    for module in exportable.modules():
        module.__class__ = REPLACEMENTS.get(type(module), type(module))
        if isinstance(module, OperatorLSTM):
            module.prepare()
    return exportable
