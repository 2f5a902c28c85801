"""The balance of the two networks: a discriminator that is always right, or never, teaches the generator nothing.

Sources of the losses: training/losses/adversarial.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.losses.adversarial import AdversarialLoss, Judgements, discriminator_loss, generator_loss

# Between the two targets of each loss: -1 and 1, 0 and 1.
THRESHOLDS: dict[AdversarialLoss, float] = {"hinge": 0.0, "least_squares": 0.5}


@torch.no_grad()
def adversarial_balance(real: Judgements, fake: Judgements, kind: AdversarialLoss) -> dict[str, Tensor]:
    """Return the discriminators' accuracy on real and on fake audio, and the generator's loss relative to theirs.

    Accuracies are means over the discriminators, from 0 to 1; 0.5 to 0.9 is a contest, 1 on both is one that the
    generator has lost. They stay on their device.
    """
    threshold = THRESHOLDS[kind]
    right_on_real = torch.stack([(logits > threshold).float().mean() for *_, logits in real])
    right_on_fake = torch.stack([(logits < threshold).float().mean() for *_, logits in fake])
    return {
        "accuracy_real": right_on_real.mean(),
        "accuracy_fake": right_on_fake.mean(),
        "generator_loss_ratio": generator_loss(fake, kind) / discriminator_loss(real, fake, kind).clamp_min(1e-6),
    }
