"""Adversarial losses and feature matching.

Sources: hinge, Lim and Ye 2017 (arXiv 1705.02894) as in EnCodec; least squares, Mao et al. 2017 (arXiv 1611.04076) as
in HiFi-GAN and DAC; feature matching, MelGAN (arXiv 1910.06711), here relative to each item's mean real feature.

A judgement is what one discriminator returns: its features, then its logits as the last; `Judgements` holds one per
resolution. All means are over equal-sized items, so N ranks do what one rank does on the joint batch.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

AdversarialLoss = Literal["hinge", "least_squares"]
Judgements = Sequence[Sequence[Tensor]]

FEATURE_FLOOR = 1e-3


def discriminator_loss(real: Judgements, fake: Judgements, kind: AdversarialLoss) -> Tensor:
    """Return the loss that teaches the discriminators real from fake."""
    losses = []
    for (*_, real_logits), (*_, fake_logits) in zip(real, fake, strict=True):
        if kind == "hinge":
            losses.append((1 - real_logits.float()).relu().mean() + (1 + fake_logits.float()).relu().mean())
        else:
            losses.append((1 - real_logits.float()).square().mean() + fake_logits.float().square().mean())
    return torch.stack(losses).mean()


def generator_loss(fake: Judgements, kind: AdversarialLoss) -> Tensor:
    """Return the loss that makes the generator's output pass for real."""
    if kind == "hinge":
        losses = [-logits.float().mean() for *_, logits in fake]
    else:
        losses = [(1 - logits.float()).square().mean() for *_, logits in fake]
    return torch.stack(losses).mean()


def feature_matching_loss(real: Judgements, fake: Judgements) -> Tensor:
    """Return the relative L1 distance of the fake features from the real ones."""
    distances = []
    for (*real_features, _), (*fake_features, _) in zip(real, fake, strict=True):
        for wanted, got in zip(real_features, fake_features, strict=True):
            target = wanted.detach().float().flatten(1)
            level = target.abs().mean(1, keepdim=True) + FEATURE_FLOOR
            distances.append(((got.float().flatten(1) - target) / level).abs().mean())
    return torch.stack(distances).mean()
