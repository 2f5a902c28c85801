"""Where a step of training the default codec goes: each part by itself, forwards and backwards, medians in ms.

`generator` is codec and quantizer, `losses` those that need no discriminator, `discriminator` its own learning,
`adversary` what the generator hears of it, `optimizers` both AdamW steps. What a part gets from others is made before.

Axes: audio, reconstruction [B, C, T].
"""

import torch
from torch import Tensor
from torch.autograd import backward

from benchmarks.peers import default_codec, noise
from benchmarks.timing import median_seconds
from codec.model import CodecOutput
from training.adversary import Adversary
from training.config import DiscriminatorConfig, LossConfig
from training.discriminators.ensemble import Discriminator
from training.losses.generator import GeneratorLosses


class DefaultStep:
    """The parts of one step of the default codec on `batch` segments of a second, in bf16-mixed."""

    def __init__(self, batch: int) -> None:
        self.codec = default_codec().train()
        self.audio = noise(batch, 1, self.codec.config.sample_rate)
        self.stages = torch.full((batch,), self.codec.config.quantizer.num_quantizers)
        self.losses = GeneratorLosses(LossConfig(), self.codec.config.sample_rate)
        self.adversary = Adversary(DiscriminatorConfig(), seed=0)
        self.discriminator = Discriminator(DiscriminatorConfig(), channels=1)
        self.optimizers = [
            torch.optim.AdamW(network.parameters(), fused=True) for network in (self.codec, self.discriminator)
        ]
        self.made = self.reconstruct()
        crop = self.adversary.crop(self.audio.shape[-1], step=0)
        self.judged = self.audio[..., crop], self.made.reconstruction.detach()[..., crop]

    def reconstruct(self) -> CodecOutput:
        """Run the codec."""
        with torch.autocast("cpu", torch.bfloat16):
            output: CodecOutput = self.codec(self.audio, self.stages)
        return output

    def generator(self) -> None:
        """Train the codec with a gradient that costs nothing."""
        output = self.reconstruct()
        backward(output.reconstruction.float().sum() + output.commitment_loss)

    def reconstruction_losses(self) -> None:
        """Judge the reconstruction by all losses that need no discriminator."""
        output = CodecOutput(
            reconstruction=self.made.reconstruction.detach().requires_grad_(),
            codes=None,
            commitment_loss=torch.zeros(()),
            codebook_loss=torch.zeros(()),
        )
        backward(self.losses.weighted_sum(self.losses(output, self.audio)))

    def learn(self) -> None:
        """Teach the discriminators."""
        with torch.autocast("cpu", torch.bfloat16):
            loss = self.adversary.lesson(self.discriminator, *self.judged).loss
        backward(loss)

    def hear(self) -> None:
        """Give the generator the discriminators' verdict."""
        real, fake = self.judged[0], self.judged[1].clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            verdict: dict[str, Tensor] = self.adversary.verdict(self.discriminator, real, fake)
        backward(torch.stack(list(verdict.values())).sum())

    def optimize(self) -> None:
        """Apply gradients."""
        for optimizer in self.optimizers:
            optimizer.step()


def split_ms(batch: int) -> dict[str, float]:
    """Return the milliseconds of each part of a step."""
    step = DefaultStep(batch)
    parts = {
        "generator": step.generator,
        "losses": step.reconstruction_losses,
        "discriminator": step.learn,
        "adversary": step.hear,
        "optimizers": step.optimize,
    }
    return {name: 1000 * seconds for name, seconds in median_seconds(parts, what="parts of a step").items()}
