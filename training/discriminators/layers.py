"""What published discriminators are made of: convolutions with weight norm, and audio as they want it.

Source of weight norm: Salimans and Kingma 2016 (arXiv 1602.07868), as a parametrization, so `state_dict` holds its
magnitude and direction and checkpoints stay plain tensors.

Axes: audio [B, C, T]; mono [B * C, 1, T]; planes [N, 2, L, F]; L frames, F frequency bins.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

PEAK = 0.8
# What peaks below this is silence, and not made louder than that: its rounding errors would be all there is to judge.
PEAK_FLOOR = 1e-3


def conv1d(inputs: int, outputs: int, kernel: int, **options: Any) -> nn.Module:
    """Return a weight-normed convolution over time that keeps lengths but for its stride."""
    convolution: nn.Module = weight_norm(nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2, **options))
    return convolution


def conv2d(inputs: int, outputs: int, kernel: tuple[int, int], **options: Any) -> nn.Module:
    """Return a weight-normed convolution, by default padded to keep lengths but for its stride."""
    dilation = options.get("dilation", (1, 1))
    padding = tuple((size - 1) * step // 2 for size, step in zip(kernel, dilation, strict=True))
    convolution: nn.Module = weight_norm(nn.Conv2d(inputs, outputs, kernel, **{"padding": padding} | options))
    return convolution


def channels_apart(audio: Tensor) -> Tensor:
    """Return audio [B, C, T] as mono [B * C, 1, T], as published discriminators hear stereo."""
    return audio.reshape(-1, 1, audio.shape[-1])


def at_equal_peak(mono: Tensor) -> Tensor:
    """Return mono [N, 1, T] without its mean, each item scaled to one peak."""
    centred = mono - mono.mean(-1, keepdim=True)
    return PEAK * centred / centred.abs().amax(-1, keepdim=True).clamp_min(PEAK_FLOOR)


def complex_planes(mono: Tensor, window: Tensor) -> Tensor:
    """Return real and imaginary parts [N, 2, L, F] of mono [N, 1, T] at hops of a quarter window, in fp32."""
    with torch.autocast(mono.device.type, enabled=False):
        length = len(window)
        spectrum = torch.stft(mono.float()[:, 0], length, length // 4, window=window, return_complex=True)
        return torch.view_as_real(spectrum).permute(0, 3, 2, 1)


def judge(
    hidden: Tensor, layers: Iterable[nn.Module], verdict: nn.Module, activation: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    """Return the features of each layer, activated, and the logits of `verdict` last."""
    judgement = []
    for layer in layers:
        hidden = activation(layer(hidden))
        judgement.append(hidden)
    judgement.append(verdict(hidden))
    return judgement
