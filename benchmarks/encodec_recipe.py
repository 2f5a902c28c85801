"""What the speed of training is compared with: a step of EnCodec's recipe, put together from public parts.

`transformers`' EncodecModel at 24 kHz as the generator, 6 kbps, with codebooks that stay as they are; EnCodec's
multi-scale STFT discriminator as published; waveform, multi-scale mel, adversarial (hinge), feature matching and
commitment losses with its gradient balancer's extra pass left out, which favours it. Source: EnCodec (arXiv 2210.13438,
sections 3.3 and 3.4).

Axes: audio, reconstruction [B, 1, T]; embeddings, quantized [B, D, L].
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import backward
from torch.nn import functional
from transformers import EncodecConfig, EncodecModel

from training.discriminators.config import STFTConfig
from training.discriminators.stft import STFTDiscriminator
from training.losses.adversarial import discriminator_loss, feature_matching_loss, generator_loss
from training.losses.mel import MultiScaleMelLoss

SAMPLE_RATE = 24_000
BITRATE_KBPS = 6.0
MEL_WINDOWS = (32, 64, 128, 256, 512, 1024, 2048)
MEL_BANDS = (5, 10, 20, 40, 64, 64, 64)


class EncodecRecipe:
    """Both networks with their optimizers; `step` trains both once."""

    def __init__(self) -> None:
        self.generator: Any = EncodecModel(EncodecConfig()).train()
        self.discriminator = STFTDiscriminator(STFTConfig())
        self.mel = MultiScaleMelLoss(SAMPLE_RATE, MEL_WINDOWS, MEL_BANDS)
        self.optimizers = [
            torch.optim.Adam(network.parameters(), lr=3e-4, betas=(0.5, 0.9), fused=True)
            for network in (self.generator, self.discriminator)
        ]

    def step(self, audio: Tensor) -> None:
        """Take one step of the discriminator and one of the generator on audio [B, 1, T]."""
        with torch.autocast("cpu", torch.bfloat16):
            reconstruction, commitment = self.reconstruct(audio)
        self._apply(1, self.discriminator_loss(audio, reconstruction.detach()))
        losses = self.reconstruction_loss(audio, reconstruction) + self.adversarial_loss(audio, reconstruction)
        self._apply(0, losses + commitment)

    def reconstruct(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstruction [B, 1, T] and the commitment loss of one pass, with a straight-through gradient."""
        embeddings = self.generator.encoder(audio)
        with torch.no_grad():
            quantizer = self.generator.quantizer
            quantized = quantizer.decode(quantizer.encode(embeddings.float(), BITRATE_KBPS))
        through = embeddings + (quantized - embeddings).detach()
        reconstruction: Tensor = self.generator.decoder(through)
        return reconstruction, functional.mse_loss(embeddings.float(), quantized)

    def reconstruction_loss(self, audio: Tensor, reconstruction: Tensor) -> Tensor:
        """Return the losses that need no discriminator."""
        mel: Tensor = self.mel(reconstruction, audio)
        return functional.l1_loss(reconstruction.float(), audio) + mel

    def discriminator_loss(self, audio: Tensor, reconstruction: Tensor) -> Tensor:
        """Return what teaches the discriminator."""
        with torch.autocast("cpu", torch.bfloat16):
            real, fake = self.discriminator(audio), self.discriminator(reconstruction)
        return discriminator_loss(real, fake, "hinge")

    def adversarial_loss(self, audio: Tensor, reconstruction: Tensor) -> Tensor:
        """Return what the frozen discriminator teaches the generator."""
        self.discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                real = self.discriminator(audio)
            fake = self.discriminator(reconstruction)
        self.discriminator.requires_grad_(True)
        return 3 * generator_loss(fake, "hinge") + 3 * feature_matching_loss(real, fake)

    def _apply(self, number: int, loss: Tensor) -> None:
        optimizer = self.optimizers[number]
        optimizer.zero_grad()
        backward(loss)
        optimizer.step()
