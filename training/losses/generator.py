"""All losses of the generator that need no discriminator, by name, and their weighted sum."""

from torch import Tensor, nn

from codec.model import CodecOutput
from training.config import LossConfig
from training.losses.mel import MultiScaleMelLoss
from training.losses.stft import MultiResolutionSTFTLoss, waveform_distance


class GeneratorLosses(nn.Module):
    """Compute each loss once; a weight of 0 leaves it as a metric."""

    def __init__(self, config: LossConfig, sample_rate: int) -> None:
        super().__init__()
        self.config = config
        self.mel = MultiScaleMelLoss(sample_rate, config.mel_windows, config.mel_bands)
        self.stft = MultiResolutionSTFTLoss(config.stft_windows)

    def forward(self, output: CodecOutput, audio: Tensor) -> dict[str, Tensor]:
        """Return the losses of one pass of the codec on audio [B, C, T]."""
        distances = self.stft(output.reconstruction, audio)
        return {
            "mel": self.mel(output.reconstruction, audio),
            "linear": distances.linear,
            "complex": distances.complex,
            "waveform": waveform_distance(output.reconstruction, audio),
            "commitment": output.commitment_loss,
            "codebook": output.codebook_loss,
        }

    def weighted_sum(self, losses: dict[str, Tensor]) -> Tensor:
        """Return the sum of `losses`, each times the weight of its name."""
        total = sum(getattr(self.config, name) * value for name, value in losses.items())
        assert isinstance(total, Tensor)
        return total
