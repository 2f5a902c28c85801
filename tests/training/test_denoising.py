"""A codec learns to denoise when asked, and to keep the noise when not."""

import warnings

import lightning as L  # noqa: N812  # the field's name for it
import numpy as np
import pytest
import soundfile
import torch

from codec.config import CodecConfig, QuantizerConfig
from codec.errors import RunError
from codec.seanet.config import SeanetConfig
from data_pipelines.build import build_dataset
from data_pipelines.settings import BuildConfig
from training.callbacks import StepState
from training.checkpoint_io import load_checkpoint
from training.cli import fit
from training.config import (
    AugmentationConfig,
    DenoisingConfig,
    DiscriminatorConfig,
    LossConfig,
    OptimizerConfig,
    QuantizerTraining,
)
from training.keyed_random import keyed_generator
from training.module import CodecTrainer

STEPS = 200
SEGMENT = 1600


def tones(purpose, step, count):
    pitches = 200 + 1000 * torch.rand(count, 1, 1, generator=keyed_generator(0, purpose, step))
    return 0.3 * torch.sin(2 * torch.pi * pitches * torch.arange(SEGMENT) / 16_000)


def noise(purpose, step, count):
    return 0.1 * torch.randn(count, 1, SEGMENT, generator=keyed_generator(1, purpose, step))


class TonesAndNoise(L.LightningDataModule):
    sample_rate, channels, index_sha256 = 16_000, 1, "0" * 64

    def train_dataloader(self):
        return torch.utils.data.DataLoader([tones("train", step, 8) for step in range(STEPS)], batch_size=None)

    def noise_segments(self, step):
        return noise("train", step, 8)

    def calibration_audio(self, num_segments):
        return tones("calibration", 0, num_segments) + noise("calibration", 0, num_segments)

    def count_batch(self):
        pass


NETWORK = SeanetConfig(
    filters=8, ratios=(5, 4, 2), residual_units=1, lstm_layers=0, padding="constant", denoising=True
)
CODEC = CodecConfig(
    name="tiny",
    family="seanet",
    hop_length=40,
    latent_dim=32,
    quantizer=QuantizerConfig(num_quantizers=4, codebook_size=64, ema_decay=0.9),
    network=NETWORK,
)


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.filterwarnings("ignore:.*have no `val_dataloader`.*")
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.*")
def test_asked_to_denoise_it_comes_nearer_to_the_clean_audio():
    torch.manual_seed(0)
    module = CodecTrainer(
        codec=CODEC,
        loss=LossConfig(mel_windows=(128, 512), mel_bands=(10, 40), stft_windows=(256,), waveform=1.0),
        discriminator=DiscriminatorConfig(start_step=None, windows=(256,), width=4),
        optimizer=OptimizerConfig(learning_rate=3e-3, warmup_steps=10),
        quantizer=QuantizerTraining(start_step=STEPS // 2, calibration_segments=32, dropout=(4,)),
        augmentation=AugmentationConfig(min_gain_db=0, max_gain_db=0),
        denoising=DenoisingConfig(noisy_share=0.9, denoise_share=0.5, min_snr_db=0, max_snr_db=5),
    )
    L.Trainer(
        accelerator="cpu",
        max_steps=STEPS,
        callbacks=[StepState(0)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    ).fit(module, datamodule=TonesAndNoise())
    codec = module.codec.eval()
    clean, noisy = tones("test", 0, 32), tones("test", 0, 32) + 1.5 * noise("test", 0, 32)
    denoised, kept = (codec.decode(codec.encode(noisy, denoise=choice)) for choice in (True, False))

    def error(decoded, target):
        return float((decoded - target).square().mean())

    print({k: error(*v) for k, v in {"dc": (denoised, clean), "kc": (kept, clean), "dn": (denoised, noisy), "kn": (kept, noisy)}.items()}, float(noisy.square().mean()))
    assert error(denoised, clean) < 0.8 * error(kept, clean)
    assert error(kept, noisy) < error(denoised, noisy)
