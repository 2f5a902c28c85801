"""All discriminators of a run as one network, which is what an optimiser and DDP want.

Every discriminator returns `Judgements` (training/losses/adversarial.py) of audio [B, C, T]: a list for each of its
parts, of features and, last, logits. The first axis of each is the batch, or the batch's channels one after another.
"""

from typing import cast

from torch import Tensor, nn

from codec.errors import RunError
from training.config import DiscriminatorConfig
from training.discriminators.bands import BandDiscriminator
from training.discriminators.period import PeriodDiscriminator
from training.discriminators.residual import ResidualDiscriminator
from training.discriminators.small import SmallDiscriminator
from training.discriminators.stft import STFTDiscriminator
from training.discriminators.wave import WaveDiscriminator


class Discriminator(nn.Module):
    """Those of `config` that aren't null, for audio of a number of channels."""

    def __init__(self, config: DiscriminatorConfig, channels: int) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        if config.small is not None:
            parts.append(SmallDiscriminator(config.small, channels))
        if config.stft is not None:
            parts.append(STFTDiscriminator(config.stft))
        if config.period is not None:
            parts.append(PeriodDiscriminator(config.period))
        if config.bands is not None:
            parts.append(BandDiscriminator(config.bands))
        if config.wave is not None:
            parts.append(WaveDiscriminator(config.wave))
        if config.residual is not None:
            parts.append(ResidualDiscriminator(config.residual))
        self.parts = nn.ModuleList(parts)
        self.minimum_samples = max(cast(int, part.minimum_samples) for part in parts)

    def forward(self, audio: Tensor) -> list[list[Tensor]]:
        """Return the judgements of all on audio [B, C, T].

        Raises:
            RunError: It is shorter than `minimum_samples`.
        """
        self.check_length(audio.shape[-1])
        return [judgement for part in self.parts for judgement in part(audio)]

    def check_length(self, num_samples: int) -> None:
        """Refuse audio that a discriminator can't judge.

        Raises:
            RunError: It is shorter than `minimum_samples`.
        """
        if num_samples < self.minimum_samples:
            raise RunError(
                f"the discriminators need {self.minimum_samples} samples but get {num_samples}: raise "
                "model.discriminator.segment_samples and data.segment_samples, or shorten their windows"
            )
