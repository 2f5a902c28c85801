"""The LSTM at the bottleneck (EnCodec, arXiv 2210.13438, section 3.1): it runs forward in time only.

Axes: hidden [B, C, L]; L frames.
"""

from torch import Tensor, nn


class ResidualLSTM(nn.Module):
    """LSTM over time, added to its input."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, layers, batch_first=True)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden [B, C, L] to [B, C, L]."""
        steps = hidden.transpose(1, 2)
        return (self.lstm(steps)[0] + steps).transpose(1, 2)
