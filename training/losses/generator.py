"""All losses of the generator that need no discriminator, by name, and their weighted sum."""

from torch import Tensor, nn

from codec.model import CodecOutput
from training.config import LossConfig
from training.losses.balancer import GradientBalancer
from training.losses.mel import MultiScaleMelLoss
from training.losses.stft import MultiResolutionSTFTLoss, waveform_distance

# Those of the reconstruction; the others concern what comes before it.
OF_RECONSTRUCTION = ("mel", "linear", "complex", "waveform", "adversarial", "feature_matching")


class GeneratorLosses(nn.Module):
    """Compute each loss once; a weight of 0 leaves it as a metric."""

    def __init__(self, config: LossConfig, sample_rate: int) -> None:
        super().__init__()
        self.config = config
        self.mel = MultiScaleMelLoss(sample_rate, config.mel_windows, config.mel_bands)
        self.stft = MultiResolutionSTFTLoss(config.stft_windows)
        weights = {name: getattr(config, name) for name in OF_RECONSTRUCTION}
        self.balancer = GradientBalancer(weights) if config.balanced else None

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

    def objective(self, losses: dict[str, Tensor], reconstruction: Tensor) -> Tensor:
        """Return the scalar to descend: the weighted sum of `losses`, or one with a balanced gradient."""
        if self.balancer is None:
            return self.weighted_sum(losses)
        others = {name: value for name, value in losses.items() if name not in OF_RECONSTRUCTION}
        balanced: Tensor = self.balancer(losses, reconstruction)
        return balanced + self.weighted_sum(others)

    def weighted_sum(self, losses: dict[str, Tensor]) -> Tensor:
        """Return the sum of `losses`, each times the weight of its name."""
        total = sum(getattr(self.config, name) * value for name, value in losses.items())
        assert isinstance(total, Tensor)
        return total
