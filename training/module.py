"""The LightningModule: one step of the discriminator, one of the generator, and validation as a listener would get it.

Manual optimisation, because the two networks take turns. What must hold, and is tested: a resumed run equals an
uninterrupted one bit for bit; N ranks equal one on the joint batch; `global_step` counts generator steps only.

Axes: audio, reconstruction [B, C, T].
"""

from __future__ import annotations

from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from codec.config import CodecConfig
from codec.errors import RunError
from codec.laid_out import forget
from codec.model import Codec
from data_pipelines.validation import ValidationClip
from training.adversary import Adversary
from training.balance import adversarial_balance
from training.config import (
    AugmentationConfig,
    DenoisingConfig,
    DiscriminatorConfig,
    LossConfig,
    OptimizerConfig,
    QuantizerTraining,
    ValidationConfig,
)
from training.data_checks import check_data
from training.discriminators.ensemble import Discriminator
from training.examples import Examples, apply_gain, mix_noise, vary_phase
from training.finite import FiniteWatch
from training.freezing import freeze_encoder
from training.keyed_random import joint_integers, keyed_generator
from training.losses.generator import GeneratorLosses
from training.schedule import warmup_then_fall
from training.start import start_codebooks
from training.strategy import SplitDDPStrategy, wrapped
from training.validation import Validator


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
        validation: What validation measures, and at which bitrates.
        seed: Key of every random choice.
        init_from: What the run starts from (training/parent.py), which `FineTuning` loads; null starts afresh.

    Raises:
        RunError: A factorized quantizer, which learns with the network, should start later than it; or the decoder
            should learn alone before there are codes.
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
        validation: ValidationConfig | None = None,
        seed: int = 0,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        quantizer = quantizer or QuantizerTraining()
        if codec.quantizer.kind == "factorized" and quantizer.start_step > 0:
            raise RunError("model.quantizer.start_step must be 0 with factorized codes: they learn with the network")
        optimizer = optimizer or OptimizerConfig()
        if optimizer.trains_decoder_only(quantizer.start_step - 1):
            raise RunError("model.optimizer.decoder_only_step must not come before model.quantizer.start_step")
        self.automatic_optimization = False
        self.codec_config = codec
        self.loss_config = loss or LossConfig()
        self.discriminator_config = discriminator or DiscriminatorConfig()
        self.optimizer_config = optimizer
        self.quantizer_training = quantizer
        self.augmentation = augmentation or AugmentationConfig()
        self.denoising = denoising or DenoisingConfig()
        self.seed = seed
        self.init_from = init_from
        self.codec = Codec(codec)
        self.discriminator = Discriminator(self.discriminator_config, codec.channels)
        self.adversary = Adversary(self.discriminator_config, seed)
        self.losses = GeneratorLosses(self.loss_config, codec.sample_rate)
        self.finite = FiniteWatch()
        self.validator = Validator(codec, validation or ValidationConfig(), self.denoising)
        self.validation_metrics: dict[str, Any] = {}

    def setup(self, stage: str) -> None:
        """Check that data and codec agree, and give a fresh run its start; rank 0's is broadcast by DDP."""
        data = cast(Any, self.trainer).datamodule
        check_data(self.codec_config, data.sample_rate, data.channels)
        if self.trainer.is_global_zero:
            self.validator.tell_missing()
        if stage == "fit" and self.trainer.ckpt_path is None and self.init_from is None:
            self.codec.initialize_network(data.calibration_audio(self.quantizer_training.calibration_segments))

    def configure_optimizers(self) -> Any:
        """Return AdamW and a schedule for each network, the generator's first."""
        total = self.trainer.max_steps
        if total < 1:
            raise RunError("trainer.max_steps must be given: the learning rate falls to zero there")
        late = self.discriminator_config.learning_steps(total)
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
            warmup, decay = self.optimizer_config.warmup_steps, self.optimizer_config.decay_per_step
            schedules.append(warmup_then_fall(optimizer, warmup, max(1, steps), decay))
        return optimizers, schedules

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        """Set the codebooks, and freeze them, when their step has come.

        Outside autocast, so that it caches no detached weights.
        """
        ready = self.global_step >= self.quantizer_training.start_step
        if ready and not bool(self.codec.quantizer.initialized):
            data = cast(Any, self.trainer).datamodule
            start_codebooks(self.codec, data, self.quantizer_training.calibration_segments, self.seed)
        if self.optimizer_config.trains_decoder_only(self.global_step) and freeze_encoder(self.codec):
            strategy = self.trainer.strategy
            if isinstance(strategy, SplitDDPStrategy):
                strategy.wrap("codec")

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """Train both networks on audio [B, C, T]."""
        step = self.global_step
        generator_optimizer, discriminator_optimizer = self._optimizers()
        examples = self._examples(batch, step)
        targets = examples.targets
        output = wrapped(self, "codec")(
            examples.inputs, self._draw_num_quantizers(len(targets), step), examples.denoise
        )
        crop = self.adversary.crop(targets.shape[-1], step)
        if self.discriminator_config.start_step is not None:
            # At the first step, not when theirs comes.
            self.discriminator.check_length(crop.stop - crop.start)
        if self.discriminator_config.judges(step):
            self._train_discriminator(discriminator_optimizer, targets[..., crop], output.reconstruction[..., crop])

        losses = self.losses(output, targets)
        if self.discriminator_config.is_heard(step):
            losses |= self.adversary.verdict(self.discriminator, targets[..., crop], output.reconstruction[..., crop])
        total = self.losses.weighted_sum(losses)
        generator_optimizer.zero_grad()
        self.manual_backward(self.losses.objective(losses, output.reconstruction))
        norm = nn.utils.clip_grad_norm_(self.codec.parameters(), self.optimizer_config.gradient_clip)
        generator_optimizer.step()
        self._schedules()[0].step()
        values = losses | {"loss": total, "gradient_norm": norm}
        self.finite.see(step, "train/gen", values)
        if self._is_logged(step):
            self._log_generator(values)

    def on_validation_epoch_start(self) -> None:
        """Forget how weights were laid out: fused optimizers and averaging change them uncounted."""
        forget()

    def validation_step(self, batch: ValidationClip, batch_idx: int) -> Tensor:
        """Score one clip as the package would code it, and return its reconstruction [1, C, T]."""
        return self.validator.score(self.codec, batch)

    def on_validation_epoch_end(self) -> None:
        """Log each metric's mean over the clips of all ranks."""
        means = self.validator.finish(self.device)
        if self.trainer.is_global_zero:
            self.validator.tell_undefined()
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
        examples = vary_phase(examples, self.augmentation, self.seed, step)
        return apply_gain(examples, self.augmentation, self.seed, step)

    def _draw_num_quantizers(self, count: int, step: int) -> Tensor | None:
        """Draw the number of stages [B] of each item; None while the quantizer is bypassed."""
        if not bool(self.codec.quantizer.initialized):
            return None
        most = self.codec_config.quantizer.num_quantizers
        choices = [k for k in self.quantizer_training.dropout if k <= most] or [most]
        index = joint_integers(len(choices), count, keyed_generator(self.seed, "dropout", step))
        return torch.tensor(choices)[index].to(self.device)

    def _train_discriminator(self, optimizer: LightningOptimizer, audio: Tensor, reconstruction: Tensor) -> None:
        """Take one step of the discriminator."""
        lesson = self.adversary.lesson(wrapped(self, "discriminator"), audio, reconstruction)
        optimizer.zero_grad()
        self.manual_backward(lesson.loss)
        norm = nn.utils.clip_grad_norm_(self.discriminator.parameters(), self.discriminator_config.gradient_clip)
        optimizer.step()
        self._schedules()[1].step()
        values = {"loss": lesson.loss.detach(), "gradient_norm": norm}
        self.finite.see(self.global_step, "train/disc", values)
        if self._is_logged(self.global_step):
            balance = adversarial_balance(lesson.real, lesson.fake, self.discriminator_config.loss)
            self.log_dict({f"train/disc/{name}": value for name, value in (values | balance).items()})

    def _log_generator(self, values: dict[str, Tensor]) -> None:
        rate = self._schedules()[0].get_last_lr()[0]
        logged = {f"train/gen/{name}": value.detach() for name, value in values.items()}
        self.log_dict(logged | {"train/gen/learning_rate": rate})
        if bool(self.codec.quantizer.initialized):
            for name, stages in self.codec.quantizer.health().to_metrics().items():
                self.log_dict({f"train/codebook/{name}_{stage}": value for stage, value in enumerate(stages)})


def _do_nothing() -> None:
    pass
