"""The LightningModule: one step of the discriminator, one of the generator, and validation as a listener would get it.

Manual optimisation, because the two networks take turns. What must hold, and is tested: a resumed run equals an
uninterrupted one bit for bit; N ranks equal one on the joint batch; `global_step` counts generator steps only.

Axes: audio, reconstruction [B, C, T].
"""

from __future__ import annotations

import math
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from codec.config import CodecConfig
from codec.distributed import sum_over_ranks
from codec.errors import RunError
from codec.model import Codec
from codec.segments import decode_segments, encode_segments
from training.config import (
    AugmentationConfig,
    DenoisingConfig,
    DiscriminatorConfig,
    LossConfig,
    OptimizerConfig,
    QuantizerTraining,
)
from training.data_checks import check_data
from training.discriminator import MultiResolutionDiscriminator
from training.examples import Examples, add_noise, apply_gain, mix_noise
from training.keyed_random import joint_integers, keyed_generator
from training.losses.adversarial import discriminator_loss, feature_matching_loss, generator_loss
from training.losses.generator import GeneratorLosses
from training.metrics import METRIC_NAMES, measure
from training.schedule import warmup_cosine
from training.start import start_codebooks
from training.strategy import wrapped

DENOISED = "denoised/"
VALIDATION_NAMES = (*METRIC_NAMES, *(f"{DENOISED}{name}" for name in METRIC_NAMES))


class CodecTrainer(L.LightningModule):
    """Train a codec.

    Args:
        codec: The codec, as its package's codec.json will hold it.
        loss: Weights and windows of the losses.
        discriminator: The discriminator and its start.
        optimizer: The optimizers and their schedule.
        quantizer: How the quantizer enters.
        augmentation: Random changes of the training audio.
        denoising: Noise and conditions, of a codec that can denoise; null takes the defaults.
        seed: Key of every random choice.
        init_from: What the run starts from (training/parent.py), which `FineTuning` loads; null starts afresh.

    Raises:
        RunError: A factorized quantizer, which learns with the network, should start later than it.
    """

    # One DDP wrapper each (training/strategy.py).
    ddp_modules = ("codec", "discriminator")

    def __init__(
        self,
        *,
        codec: CodecConfig,
        loss: LossConfig | None = None,
        discriminator: DiscriminatorConfig | None = None,
        optimizer: OptimizerConfig | None = None,
        quantizer: QuantizerTraining | None = None,
        augmentation: AugmentationConfig | None = None,
        denoising: DenoisingConfig | None = None,
        seed: int = 0,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        quantizer = quantizer or QuantizerTraining()
        if codec.quantizer.kind == "factorized" and quantizer.start_step > 0:
            raise RunError("model.quantizer.start_step must be 0 with factorized codes: they learn with the network")
        self.automatic_optimization = False
        self.codec_config = codec
        self.loss_config = loss or LossConfig()
        self.discriminator_config = discriminator or DiscriminatorConfig()
        self.optimizer_config = optimizer or OptimizerConfig()
        self.quantizer_training = quantizer
        self.augmentation = augmentation or AugmentationConfig()
        self.denoising = denoising or DenoisingConfig()
        self.seed = seed
        self.init_from = init_from
        self.codec = Codec(codec)
        self.discriminator = MultiResolutionDiscriminator(
            self.discriminator_config.windows, codec.channels, self.discriminator_config.width
        )
        self.losses = GeneratorLosses(self.loss_config, codec.sample_rate)
        self.validation_metrics: dict[str, Any] = {}
        self._validation_scores: list[list[float]] = []

    def setup(self, stage: str) -> None:
        """Check that data and codec agree, and give a fresh run its start; rank 0's is broadcast by DDP."""
        data = cast(Any, self.trainer).datamodule
        check_data(self.codec_config, data.sample_rate, data.channels)
        if stage == "fit" and self.trainer.ckpt_path is None and self.init_from is None:
            self.codec.initialize_network(data.calibration_audio(self.quantizer_training.calibration_segments))

    def configure_optimizers(self) -> Any:
        """Return AdamW and a schedule for each network, the generator's first."""
        total = self.trainer.max_steps
        if total < 1:
            raise RunError("trainer.max_steps must be given: the learning rate falls to zero there")
        late = total - (self.discriminator_config.start_step or 0)
        rates = (self.optimizer_config.learning_rate, self.discriminator_config.learning_rate)
        optimizers, schedules = [], []
        for network, rate, steps in zip((self.codec, self.discriminator), rates, (total, late), strict=True):
            optimizer = torch.optim.AdamW(
                network.parameters(),
                lr=rate,
                betas=self.optimizer_config.betas,
                weight_decay=self.optimizer_config.weight_decay,
                fused=True,
            )
            optimizers.append(optimizer)
            schedules.append(warmup_cosine(optimizer, self.optimizer_config.warmup_steps, max(1, steps)))
        return optimizers, schedules

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        """Set the codebooks when their step has come; outside autocast, so that it caches no detached weights."""
        ready = self.global_step >= self.quantizer_training.start_step
        if ready and not bool(self.codec.quantizer.initialized):
            data = cast(Any, self.trainer).datamodule
            start_codebooks(self.codec, data, self.quantizer_training.calibration_segments, self.seed)

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """Train both networks on audio [B, C, T]."""
        step = self.global_step
        generator_optimizer, discriminator_optimizer = self._optimizers()
        examples = self._examples(batch, step)
        targets = examples.targets
        output = wrapped(self, "codec")(
            examples.inputs, self._draw_num_quantizers(len(targets), step), examples.denoise
        )
        crop = self._discriminator_crop(targets.shape[-1], step)
        if self.discriminator_config.judges(step):
            self._train_discriminator(discriminator_optimizer, targets[..., crop], output.reconstruction[..., crop])

        losses = self.losses(output, targets)
        if self.discriminator_config.is_heard(step):
            losses |= self._adversarial_losses(targets[..., crop], output.reconstruction[..., crop])
        total = self.losses.weighted_sum(losses)
        generator_optimizer.zero_grad()
        self.manual_backward(total)
        norm = nn.utils.clip_grad_norm_(self.codec.parameters(), self.optimizer_config.gradient_clip)
        generator_optimizer.step()
        self._schedules()[0].step()
        if self._is_logged(step):
            self._log_generator(losses | {"loss": total, "gradient_norm": norm})

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Score one clip as the package would code it, and return its reconstruction [1, C, T]."""
        audio = batch.audio
        if bool(self.codec.quantizer.initialized):
            reconstruction = self._code(audio)
        else:
            reconstruction = self.codec(audio, None).reconstruction
        scores = measure(reconstruction[0], audio[0], self.codec_config.sample_rate) | self._denoising_scores(batch)
        self._validation_scores.append([scores.get(name, math.nan) for name in VALIDATION_NAMES])
        return reconstruction

    def _code(self, audio: Tensor) -> Tensor:
        """Encode audio [B, C, T] with all stages, and decode it again."""
        if self.codec_config.segments is None:
            return self.codec.decode(self.codec.encode(audio), num_samples=audio.shape[-1])
        return decode_segments(self.codec, encode_segments(self.codec, audio), num_samples=audio.shape[-1])

    def _denoising_scores(self, batch: Any) -> dict[str, float]:
        """Score a clip that was encoded without the noise mixed into it; nothing of a codec that can't."""
        if not (self.codec_config.can_denoise and bool(self.codec.quantizer.initialized)):
            return {}
        noisy = add_noise(batch.audio, batch.noise, batch.audio.new_tensor([self.denoising.middle_snr_db]))
        denoised = self.codec.decode(self.codec.encode(noisy, denoise=True), num_samples=noisy.shape[-1])
        scores = measure(denoised[0], batch.audio[0], self.codec_config.sample_rate)
        return {f"{DENOISED}{name}": value for name, value in scores.items()}

    def on_validation_epoch_end(self) -> None:
        """Log each metric's mean over the clips of all ranks; NaN (undefined for a clip) is left out."""
        scores = torch.tensor(self._validation_scores, dtype=torch.float64).reshape(-1, len(VALIDATION_NAMES))
        self._validation_scores = []
        known = ~scores.isnan()
        joint = torch.stack([scores.nan_to_num().sum(0), known.sum(0).double()])
        sums, counts = sum_over_ranks(joint.to(self.device, torch.float32)).cpu()
        means = {name: float(s / n) for name, s, n in zip(VALIDATION_NAMES, sums, counts, strict=True) if n}
        quantized = bool(self.codec.quantizer.initialized)
        # A bypassed quantizer scores better than any codec could: never under the names that choose checkpoints.
        prefix = "val" if quantized else "val/bypass"
        self.log_dict({f"{prefix}/{name}": value for name, value in means.items()}, sync_dist=True)
        if quantized:
            codebooks = self.codec.quantizer.health().to_metrics()
            self.validation_metrics = means | {"step": self.global_step, "codebook": codebooks}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what export needs: the codec's configuration and the latest validation."""
        checkpoint["nacre"] = {"codec": self.codec_config.to_json(), "metrics": dict(self.validation_metrics)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the latest validation back.

        Raises:
            RunError: The checkpoint is of another codec.
        """
        if checkpoint["nacre"]["codec"] != self.codec_config.to_json():
            raise RunError("the checkpoint was made with another model.codec: resume with the run's own config.yaml")
        self.validation_metrics = checkpoint["nacre"]["metrics"]

    def _optimizers(self) -> tuple[LightningOptimizer, LightningOptimizer]:
        """Return both, the discriminator's without its part in `global_step`, which would count it too."""
        generator, discriminator = cast(list[LightningOptimizer], self.optimizers())
        discriminator._on_before_step = discriminator._on_after_step = _do_nothing
        return generator, discriminator

    def _schedules(self) -> list[LambdaLR]:
        return cast(list[LambdaLR], self.lr_schedulers())

    def _is_logged(self, step: int) -> bool:
        every: int = cast(Any, self.trainer).log_every_n_steps
        return (step + 1) % every == 0

    def _examples(self, audio: Tensor, step: int) -> Examples:
        """Return what to learn from audio [B, C, T] at this step."""
        examples = Examples(inputs=audio, targets=audio)
        if self.codec_config.can_denoise:
            noise = cast(Any, self.trainer).datamodule.noise_segments(step).to(audio.device)
            examples = mix_noise(audio, noise, self.denoising, self.seed, step)
        return apply_gain(examples, self.augmentation, self.seed, step)

    def _draw_num_quantizers(self, count: int, step: int) -> Tensor | None:
        """Draw the number of stages [B] of each item; None while the quantizer is bypassed."""
        if not bool(self.codec.quantizer.initialized):
            return None
        most = self.codec_config.quantizer.num_quantizers
        choices = [k for k in self.quantizer_training.dropout if k <= most] or [most]
        index = joint_integers(len(choices), count, keyed_generator(self.seed, "dropout", step))
        return torch.tensor(choices)[index].to(self.device)

    def _discriminator_crop(self, num_samples: int, step: int) -> slice:
        """Return the sub-crop that the discriminator sees at this step, the same for all items."""
        length = min(self.discriminator_config.segment_samples, num_samples)
        generator = keyed_generator(self.seed, "crop", step)
        start = int(torch.randint(num_samples - length + 1, (), generator=generator))
        return slice(start, start + length)

    def _train_discriminator(self, optimizer: LightningOptimizer, audio: Tensor, reconstruction: Tensor) -> None:
        """Take one step of the discriminator; real and fake go through in one pass, as DDP wants it."""
        both = wrapped(self, "discriminator")(torch.cat([audio, reconstruction.detach()]))
        real, fake = _split_judgements(both)
        loss = discriminator_loss(real, fake, self.discriminator_config.loss)
        optimizer.zero_grad()
        self.manual_backward(loss)
        norm = nn.utils.clip_grad_norm_(self.discriminator.parameters(), self.discriminator_config.gradient_clip)
        optimizer.step()
        self._schedules()[1].step()
        if self._is_logged(self.global_step):
            self.log_dict({"train/disc/loss": loss.detach(), "train/disc/gradient_norm": norm})

    def _adversarial_losses(self, audio: Tensor, reconstruction: Tensor) -> dict[str, Tensor]:
        """Return what the frozen discriminator makes of the reconstruction; unwrapped, for it gets no gradient."""
        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            real = self.discriminator(audio)
        fake = self.discriminator(reconstruction)
        self.discriminator.requires_grad_(True)
        return {
            "adversarial": generator_loss(fake, self.discriminator_config.loss),
            "feature_matching": feature_matching_loss(real, fake),
        }

    def _log_generator(self, values: dict[str, Tensor]) -> None:
        if not math.isfinite(float(values["loss"].detach())):
            raise RunError(
                f"the loss is {float(values['loss'])} after step {self.global_step}: lower the learning rate"
            )
        rate = self._schedules()[0].get_last_lr()[0]
        logged = {f"train/gen/{name}": value.detach() for name, value in values.items()}
        self.log_dict(logged | {"train/gen/learning_rate": rate})
        if bool(self.codec.quantizer.initialized):
            for name, stages in self.codec.quantizer.health().to_metrics().items():
                self.log_dict({f"train/codebook/{name}_{stage}": value for stage, value in enumerate(stages)})


def _split_judgements(both: list[list[Tensor]]) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """Split judgements of a batch of real items followed by fake ones."""
    halves = [[feature.chunk(2) for feature in judgement] for judgement in both]
    return [[real for real, _ in j] for j in halves], [[fake for _, fake in j] for j in halves]


def _do_nothing() -> None:
    pass
