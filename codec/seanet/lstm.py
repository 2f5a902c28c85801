"""The LSTM at the bottleneck (EnCodec, arXiv 2210.13438, section 3.1): it runs forward in time only.

Where bits must not depend on what is coded together (codec/steady.py) it is written out: the inputs' gates as a product
with a matrix laid out once (codec/laid_out.py), and the recurrence as a matrix-vector product for each item and frame.
Measured on one thread at EnCodec's width, the recurrence takes 0.08 ms a frame and layer, in a long file or a short
call. oneDNN's LSTM takes 0.1 ms in a long file, but 6 ms for a call of a few frames, because each call lays out the
weights anew; and for one item or one frame its bits are others than for more.

Axes: hidden [B, C, L]; steps [B, L, C]; L frames.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from codec.laid_out import product, remembered, rows_of
from codec.steady import steady


@dataclass(frozen=True, kw_only=True)
class LSTMState:
    """What each layer remembers of each item: its output and its cell, both [layers, B, C]."""

    output: Tensor
    cell: Tensor


class ResidualLSTM(nn.Module):
    """LSTM over time, added to its input; an `exact` one gives a whole file the bits of its pieces."""

    def __init__(self, width: int, layers: int, *, exact: bool) -> None:
        super().__init__()
        self.exact = exact
        self.lstm = nn.LSTM(width, width, layers, batch_first=True)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden [B, C, L] to [B, C, L]."""
        if self.exact and steady(hidden):
            return self.extend(hidden, self.start(hidden.shape[0]), last=True)[0]
        steps = hidden.transpose(1, 2)
        return (self.lstm(steps)[0] + steps).transpose(1, 2)

    def start(self, batch_size: int) -> LSTMState:
        """Return the state before the first frame."""
        nothing = next(self.parameters()).new_zeros(self.lstm.num_layers, batch_size, self.lstm.hidden_size)
        return LSTMState(output=nothing, cell=nothing)

    def extend(self, hidden: Tensor, state: LSTMState, *, last: bool) -> tuple[Tensor, LSTMState]:
        """Map hidden [B, C, L] that follows `state` to [B, C, L], and the next state."""
        if hidden.shape[-1] == 0:
            return hidden, state
        steps = hidden.transpose(1, 2).contiguous()
        if steady(hidden):
            mapped, output, cell = self._run(steps, state)
        else:
            mapped, (output, cell) = self.lstm(steps, (state.output, state.cell))
        return (mapped + steps).transpose(1, 2).contiguous(), LSTMState(output=output, cell=cell)

    def _run(self, steps: Tensor, state: LSTMState) -> tuple[Tensor, Tensor, Tensor]:
        """Map steps [B, L, C] to the last layer's outputs [B, L, C], and every layer's last output and cell."""
        outputs, cells = [], []
        for layer in range(self.lstm.num_layers):
            of_input, of_output, *biases = self.lstm.all_weights[layer]
            gates = product(steps.flatten(0, 1), remembered(of_input, rows_of), biases[0] + biases[1])
            items = zip(gates.view(*steps.shape[:2], -1), state.output[layer], state.cell[layer], strict=True)
            results = [recur(remembered(of_output, by_columns), *item) for item in items]
            steps = torch.stack([result[0] for result in results])
            cells.append(torch.stack([result[1] for result in results]))
            outputs.append(steps[:, -1])
        return steps, torch.stack(outputs), torch.stack(cells)


def recur(columns: Tensor, gates: Tensor, output: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Run one layer over one item: its inputs' `gates` [L, 4 C], then its last `output` [C] and `cell` [C].

    `columns` [4 C, C] is the weight, stored column by column. Return its outputs [L, C] and last cell [C].
    """
    outputs = gates.new_empty(len(gates), len(cell))
    total, new = torch.empty_like(gates[0]), torch.empty_like(cell)
    take, keep, change, give = total.view(4, -1).unbind()
    output, cell = output.clone(), cell.clone()
    for gate, row in zip(gates, outputs, strict=True):
        torch.addmv(gate, columns, output, out=total)
        torch.tanh(change, out=new)
        total.sigmoid_()
        cell.mul_(keep).addcmul_(take, new)
        torch.tanh(cell, out=output).mul_(give)
        row.copy_(output)
    return outputs, cell


def by_columns(weight: Tensor) -> Tensor:
    """Store a matrix column by column, in which a product with a vector is faster."""
    return weight.T.contiguous().T
