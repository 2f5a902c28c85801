"""The discriminators' part of a step: what they see of it, what they learn from, and what the generator hears.

Axes: audio, reconstruction [B, C, T].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.config import DiscriminatorConfig
from training.discriminators.ensemble import Discriminator
from training.keyed_random import keyed_generator
from training.losses.adversarial import discriminator_loss, feature_matching_loss, generator_loss


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What discriminators made of `real` and `fake` audio, and the `loss` to learn from."""

    loss: Tensor
    real: list[list[Tensor]]
    fake: list[list[Tensor]]


@dataclass(frozen=True)
class Adversary:
    """When discriminators learn and are heard, and the losses of both sides."""

    config: DiscriminatorConfig
    seed: int

    def crop(self, num_samples: int, step: int) -> slice:
        """Return the part of items of `num_samples` that is judged at this step, the same for all."""
        length = min(self.config.segment_samples, num_samples)
        generator = keyed_generator(self.seed, "crop", step)
        start = int(torch.randint(num_samples - length + 1, (), generator=generator))
        return slice(start, start + length)

    def lesson(self, network: nn.Module, audio: Tensor, reconstruction: Tensor) -> Lesson:
        """Return what to teach `network` with; real and fake go through in one pass, as DDP wants it."""
        both = network(torch.cat([audio, reconstruction.detach()]))
        real, fake = _split_judgements(both)
        return Lesson(loss=discriminator_loss(real, fake, self.config.loss), real=real, fake=fake)

    def verdict(self, discriminator: Discriminator, audio: Tensor, reconstruction: Tensor) -> dict[str, Tensor]:
        """Return what the frozen discriminator makes of the reconstruction; unwrapped, for it gets no gradient."""
        discriminator.requires_grad_(False)
        with torch.no_grad():
            real = discriminator(audio)
        fake = discriminator(reconstruction)
        discriminator.requires_grad_(True)
        return {
            "adversarial": generator_loss(fake, self.config.loss),
            "feature_matching": feature_matching_loss(real, fake),
        }


def _split_judgements(both: list[list[Tensor]]) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """Split judgements of a batch of real items followed by fake ones."""
    halves = [[feature.chunk(2) for feature in judgement] for judgement in both]
    return [[real for real, _ in j] for j in halves], [[fake for _, fake in j] for j in halves]
