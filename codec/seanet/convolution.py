"""Convolutions that pad and trim by themselves, so that strides alone decide lengths.

Source: EnCodec (arXiv 2210.13438, section 3.1), whose padding rules these are, so that its weights give its codes:
a convolution's context, kernel minus stride, lies all before the sample when causal and is split otherwise, the odd
one before; a length that is no multiple of the stride is padded at the end up to one. Deviations:
 - no weight norm: imported weights come folded into plain ones, and training from scratch works without;
 - of a causal transposed convolution the whole surplus is trimmed at the end (EnCodec's ratio of 1, the only one used).

Causal ones can go on where they stopped. Padding by reflection waits for what it reflects, and one sample more.

Axes: hidden [B, C, T]; B items, C channels, T samples at the layer's own rate.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from codec.laid_out import columns_of, product, remembered
from codec.seanet.config import SeanetConfig
from codec.steady import SteadyConv1d, UnfoldedConv1d, steady

# A convolution with so many weights is unfolded: its layout would cost a stream more than its sums.
WIDE = 2**18


@dataclass(frozen=True, kw_only=True)
class ConvState:
    """The inputs [B, C, n] that a convolution still needs, and whether they already begin with its padding."""

    tail: Tensor
    padded: bool


class PaddedConv(nn.Module):
    """Convolution of [B, C, T] to [B, C', ceil(T / stride)], then the network's norm."""

    def __init__(
        self, config: SeanetConfig, inputs: int, outputs: int, kernel_size: int, *, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.stride = stride
        self.padding = config.padding
        context = (kernel_size - 1) * dilation + 1 - stride
        self.after = config.padding_after(context)
        self.before = context - self.after
        is_wide = dilation == 1 and inputs * outputs * kernel_size >= WIDE
        kind = UnfoldedConv1d if is_wide else SteadyConv1d
        self.conv = kind(inputs, outputs, kernel_size, stride=stride, dilation=dilation)
        self.norm = _norm(config, outputs)

    def forward(self, hidden: Tensor, activation: nn.Module | None = None) -> Tensor:
        """Map hidden [B, C, T] to [B, C', ceil(T / stride)], after an `activation` if one is given.

        It works on a padded copy: an activation that overwrites its input leaves `hidden` alone.
        """
        padded = self.pad(hidden)
        if activation is not None:
            padded = activation(padded.clone() if padded is hidden else padded)
        return self.norm(self.conv(padded))

    def pad(self, hidden: Tensor) -> Tensor:
        """Pad hidden [B, C, T] for ceil(T / stride) outputs."""
        rest = -hidden.shape[-1] % self.stride
        return pad(hidden, self.before, self.after + rest, self.padding)

    def start(self, batch_size: int) -> ConvState:
        """Return the state of a causal convolution before anything came."""
        return ConvState(tail=self.conv.weight.new_zeros(batch_size, self.conv.in_channels, 0), padded=False)

    def extend(self, hidden: Tensor, state: ConvState, *, last: bool) -> tuple[Tensor, ConvState]:
        """Map hidden [B, C, T] that follows `state` to the [B, C', T'] now final, and the next state.

        `last` says that nothing follows: all that is left becomes final.
        """
        seen = torch.cat([state.tail, hidden], dim=-1)
        length = seen.shape[-1] - (self.before if state.padded else 0)
        reflected = self.before if self.padding == "reflect" else 0
        if not state.padded and (length <= reflected or length < self.stride):
            # Too short for its padding, unless this is all: then the padding of short inputs is right.
            ended = last and length > 0
            return self(seen) if ended else self._nothing(hidden), ConvState(tail=seen, padded=False)
        before = 0 if state.padded else self.before
        rest = -length % self.stride if last else 0
        seen = pad(seen, before, rest, self.padding)
        count = (length + rest) // self.stride
        following = ConvState(tail=seen[..., count * self.stride :], padded=True)
        if count == 0:
            return self._nothing(hidden), following
        return self.conv(seen[..., : self.before + count * self.stride]), following

    def _nothing(self, hidden: Tensor) -> Tensor:
        """Return outputs [B, C', 0]."""
        return hidden.new_zeros(hidden.shape[0], self.conv.out_channels, 0)


class TrimmedConvTranspose(nn.Module):
    """Transposed convolution, two strides long, of [B, C, T] to [B, C', T * stride], with the network's norm."""

    def __init__(self, config: SeanetConfig, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = surplus = stride
        self.after = surplus if config.causal else surplus // 2
        self.before = surplus - self.after
        self.conv = nn.ConvTranspose1d(inputs, outputs, 2 * stride, stride=stride)
        self.norm = _norm(config, outputs)

    def forward(self, hidden: Tensor) -> Tensor:
        """Map hidden [B, C, T] to [B, C', T * stride]."""
        full = self.norm(self.conv(hidden))
        return full[..., self.before : full.shape[-1] - self.after]

    def start(self, batch_size: int) -> Tensor:
        """Return what sounds on [B, C', stride] before the first sample of a causal one: nothing."""
        return self.conv.weight.new_zeros(batch_size, self.conv.out_channels, self.stride)

    def extend(self, hidden: Tensor, state: Tensor, *, last: bool) -> tuple[Tensor, Tensor]:
        """Map hidden [B, C, T] to [B, C', T * stride], onto which `state` [B, C', stride] is added.

        Also return the next state. For a few samples this product takes much less than torch's own transposed one.
        """
        batch, _, length = hidden.shape
        if length == 0:
            return hidden.new_zeros(batch, self.conv.out_channels, 0), state
        weight = self.conv.weight
        if steady(hidden):
            sounds = product(hidden.mT.flatten(0, 1), remembered(weight, columns_of), None)
        else:
            sounds = hidden.mT.flatten(0, 1) @ weight.flatten(1)
        sounds = sounds.view(batch, length, -1, 2 * self.stride)
        now, later = sounds.split(self.stride, dim=-1)
        total = now + torch.cat([state[:, None], later[:, :-1]], dim=1)
        assert self.conv.bias is not None
        return total.transpose(1, 2).flatten(2) + self.conv.bias[:, None], later[:, -1]


def pad(hidden: Tensor, before: int, after: int, mode: str) -> Tensor:
    """Pad hidden [B, C, T] in time; where it is too short to reflect, zeros behind it are reflected with it."""
    if not (before or after):
        return hidden
    if mode != "reflect":
        return F.pad(hidden, (before, after), mode)
    missing = max(before, after) - hidden.shape[-1] + 1
    if missing > 0:
        return _reflect(F.pad(hidden, (0, missing)), before, after)[..., :-missing]
    return _reflect(hidden, before, after)


def _reflect(hidden: Tensor, before: int, after: int) -> Tensor:
    """Pad by reflection; ten times faster than torch's own on a CPU, which copies sample by sample."""
    end = hidden.shape[-1] - 1
    first, last = hidden[..., 1 : before + 1].flip(-1), hidden[..., end - after : end].flip(-1)
    return torch.cat([first, hidden, last], dim=-1)


def _norm(config: SeanetConfig, channels: int) -> nn.Module:
    return nn.GroupNorm(1, channels) if config.norm == "time_group" else nn.Identity()
