"""The settings of a training run, read by LightningCLI; unknown keys are errors, derived values are properties."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from codec.checks import check
from training.discriminators.config import (
    BandConfig,
    PeriodConfig,
    ResidualConfig,
    SmallConfig,
    STFTConfig,
    WaveConfig,
)
from training.losses.adversarial import AdversarialLoss
from training.metrics import OWN_METRICS, MetricName


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the generator's losses, and the windows that they look through.

    Attributes:
        balanced: Weights of losses of the reconstruction are shares of its gradient, whatever each loss's scale
            (training/losses/balancer.py); commitment and codebook are added at their weights.
        mel: Weight of the multi-scale log-mel distance.
        linear: Weight of the relative distance between STFT magnitudes.
        complex: Weight of the relative distance between complex STFTs, which sees phase.
        waveform: Weight of the relative distance between waveforms.
        commitment: Weight of the quantizer's commitment loss (mean over active stages).
        codebook: Weight of the codebook loss (mean over active stages); zero for EMA codebooks.
        adversarial: Weight of the adversarial loss.
        feature_matching: Weight of the feature matching loss.
        mel_windows: Window lengths of the mel distance, in samples.
        mel_bands: Number of mel bands per window.
        stft_windows: Window lengths of the STFT distances, in samples.
    """

    balanced: bool = False
    mel: float = 2.0
    linear: float = 0.5
    complex: float = 0.5
    waveform: float = 0.1
    commitment: float = 0.25
    codebook: float = 1.0
    adversarial: float = 0.07
    feature_matching: float = 0.13
    mel_windows: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)
    mel_bands: tuple[int, ...] = (10, 20, 40, 80, 80, 160)
    stft_windows: tuple[int, ...] = (256, 1024)

    def __post_init__(self) -> None:
        """Check that the lists match.

        Raises:
            ValueError: They don't.
        """
        if len(self.mel_windows) != len(self.mel_bands):
            raise ValueError(f"mel_bands has {len(self.mel_bands)} entries but mel_windows {len(self.mel_windows)}")


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """The discriminators, one or more of six kinds, null where unused, and when they join in.

    Attributes:
        start_step: Generator step at which the discriminator starts to learn; null trains without one.
        lead_steps: Steps for which it learns alone before the generator listens to it.
        learning_share: Share of the steps from then on, evenly spread, at which it learns.
        hearing_share: Share of the steps, evenly spread, at which the generator listens to it.
        loss: Kind of adversarial loss.
        segment_samples: Length of the sub-crop of each item that it sees.
        small: Ours, light enough for a CPU.
        stft: EnCodec's.
        period: HiFi-GAN's and DAC's.
        bands: DAC's.
        wave: SoundStream's and MelGAN's of waveforms.
        residual: SoundStream's of a spectrum.
        learning_rate: Peak learning rate.
        gradient_clip: Largest norm of its gradient.
    """

    start_step: int | None = 20_000
    lead_steps: int = 300
    learning_share: float = 1.0
    hearing_share: float = 1.0
    loss: AdversarialLoss = "least_squares"
    segment_samples: int = 6_400
    small: SmallConfig | None = field(default_factory=SmallConfig)
    stft: STFTConfig | None = None
    period: PeriodConfig | None = None
    bands: BandConfig | None = None
    wave: WaveConfig | None = None
    residual: ResidualConfig | None = None
    learning_rate: float = 3e-4
    gradient_clip: float = 10.0

    def __post_init__(self) -> None:
        """Check the shares, and that there is a discriminator.

        Raises:
            ValueError: A share is out of range, or all are null.
        """
        for name in ("learning_share", "hearing_share"):
            check(0 < getattr(self, name) <= 1, name, getattr(self, name), "above 0 and at most 1")
        kinds = (self.small, self.stft, self.period, self.bands, self.wave, self.residual)
        if all(kind is None for kind in kinds):
            raise ValueError("discriminator has no kind: give one, and start_step null to train without it")

    def judges(self, step: int) -> bool:
        """Tell whether the discriminator learns at generator step `step`."""
        return self.start_step is not None and _is_of_share(step - self.start_step, self.learning_share)

    def is_heard(self, step: int) -> bool:
        """Tell whether the generator listens to the discriminator at `step`."""
        if self.start_step is None:
            return False
        return _is_of_share(step - self.start_step - self.lead_steps, self.hearing_share)

    def learning_steps(self, total_steps: int) -> int:
        """Return about how many of `total_steps` generator steps the discriminator learns at."""
        return math.ceil((total_steps - (self.start_step or 0)) * self.learning_share)


def _is_of_share(step: int, share: float) -> bool:
    """Tell whether `step` is one of an evenly spread share of the steps from 0 on, 0 included."""
    return step >= 0 and math.ceil((step + 1) * share) > math.ceil(step * share)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW for both networks; the learning rate warms up linearly, then falls.

    Attributes:
        learning_rate: Peak learning rate of the generator.
        betas: Decay of AdamW's averages.
        weight_decay: Decoupled weight decay.
        warmup_steps: Steps to reach the peak.
        decay_per_step: Factor of each step from then on, 1 to stay; null falls along a cosine to zero at the last.
        gradient_clip: Largest norm of the generator's gradient.
        decoder_only_step: Step from which encoder and quantizer stand still and only the decoder learns; null never.
    """

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.8, 0.99)
    weight_decay: float = 1e-3
    warmup_steps: int = 200
    decay_per_step: float | None = None
    gradient_clip: float = 1.0
    decoder_only_step: int | None = None

    def __post_init__(self) -> None:
        """Check the decay.

        Raises:
            ValueError: It isn't one.
        """
        if self.decay_per_step is not None:
            check(0 < self.decay_per_step <= 1, "decay_per_step", self.decay_per_step, "above 0 and at most 1")

    def trains_decoder_only(self, step: int) -> bool:
        """Tell whether encoder and quantizer stand still at `step`."""
        return self.decoder_only_step is not None and step >= self.decoder_only_step


@dataclass(frozen=True, kw_only=True)
class QuantizerTraining:
    """How the quantizer enters the training.

    Attributes:
        start_step: Step at which the codebooks are set by k-means; before it the quantizer is bypassed.
        calibration_segments: Segments of training audio that k-means and the linear start are fitted to.
        dropout: Numbers of stages, of which each item draws one; those above the codec's are left out.
    """

    start_step: int = 250
    calibration_segments: int = 512
    dropout: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 12)


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """Random phase and gain, per item.

    Attributes:
        flip_share: Share of items whose polarity is flipped.
        rotation_share: Share of items whose partials are all turned by one random phase.
        level_dbfs: Root mean square that items are brought to before the gain; null leaves them as they are.
        min_gain_db: Lowest gain.
        max_gain_db: Highest gain; lowered where the item would clip.
    """

    flip_share: float = 0.0
    rotation_share: float = 0.0
    level_dbfs: float | None = None
    min_gain_db: float = -12.0
    max_gain_db: float = 6.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: A value is out of range.
        """
        for name in ("flip_share", "rotation_share"):
            check(0 <= getattr(self, name) <= 1, name, getattr(self, name), "from 0 to 1")
        if self.level_dbfs is not None:
            check(self.level_dbfs <= 0, "level_dbfs", self.level_dbfs, "at most 0")


@dataclass(frozen=True, kw_only=True)
class DenoisingConfig:
    """How noise is mixed into the input, and how often the codec is asked to leave it out; drawn apart, per item.

    Attributes:
        noisy_share: Share of items whose input has noise.
        denoise_share: Share of items that are asked to be denoised, noisy or not.
        min_snr_db: Lowest ratio of the audio to the noise, over the crop.
        max_snr_db: Highest ratio.
    """

    noisy_share: float = 0.75
    denoise_share: float = 0.5
    min_snr_db: float = 0.0
    max_snr_db: float = 30.0

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: A value is out of range.
        """
        for name in ("noisy_share", "denoise_share"):
            check(0 <= getattr(self, name) <= 1, name, getattr(self, name), "from 0 to 1")
        check(self.min_snr_db <= self.max_snr_db, "min_snr_db", self.min_snr_db, f"at most {self.max_snr_db=}")

    @property
    def middle_snr_db(self) -> float:
        """The ratio at which validation denoises."""
        return (self.min_snr_db + self.max_snr_db) / 2


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """What validation measures, and at which bitrates.

    Attributes:
        num_quantizers: Numbers of stages to score beside all of them, which choose checkpoints; those that the codec
            hasn't are left out; null takes one and a middle number.
        metrics: What to measure; `mel_distance`, which chooses checkpoints, always. PESQ and ViSQOL are off where they
            aren't installed; ViSQOL costs most, up to a third of the audio's duration at each bitrate.
    """

    num_quantizers: tuple[int, ...] | None = None
    metrics: tuple[MetricName, ...] = (*OWN_METRICS, "pesq")

    def __post_init__(self) -> None:
        """Check that checkpoints can be chosen.

        Raises:
            ValueError: They can't.
        """
        if "mel_distance" not in self.metrics:
            raise ValueError(f"metrics is {list(self.metrics)} but must have mel_distance, which chooses checkpoints")

    def lower_stages(self, most: int) -> list[int]:
        """Return the numbers of stages below `most` at which to score, lowest first."""
        chosen = (1, most // 2) if self.num_quantizers is None else self.num_quantizers
        return sorted({stages for stages in chosen if 1 <= stages < most})


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What a run keeps on disk and reports.

    Attributes:
        ema_decay: Decay of the averaged weights, which validation and export use.
        checkpoint_every_n_steps: Steps between writes of `last.ckpt`.
        keep_best: Number of checkpoints kept by `val/mel_distance`.
        logged_clips: Validation clips whose audio and spectrogram go to W&B.
        wandb_mode: `offline` needs neither key nor network; `disabled` writes nothing for W&B.
        wandb_project: Project in W&B.
    """

    ema_decay: float = 0.998
    checkpoint_every_n_steps: int = 500
    keep_best: int = 2
    logged_clips: int = 2
    wandb_mode: Literal["offline", "online", "disabled"] = "offline"
    wandb_project: str = "nacre"
