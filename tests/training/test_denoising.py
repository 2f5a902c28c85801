"""A codec learns to denoise when asked, and to keep the noise when not."""

import lightning as L  # noqa: N812  # the field's name for it
import numpy as np
import pytest
import soundfile
import torch

from codec.config import CodecConfig, QuantizerConfig
from codec.errors import RunError
from codec.seanet.config import SeanetConfig
from data_pipelines.build import build_dataset
from data_pipelines.noise import NoiseSource
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
from training.discriminators.config import SmallConfig
from training.keyed_random import keyed_generator
from training.metrics import mel_distance
from training.module import CodecTrainer

STEPS = 120
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


NETWORK = SeanetConfig(filters=8, ratios=(4, 2), lstm_layers=0, padding="constant", denoising=True)
CODEC = CodecConfig(
    name="tiny",
    family="seanet",
    hop_length=8,
    latent_dim=16,
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
        loss=LossConfig(mel_windows=(128, 512), mel_bands=(10, 40), stft_windows=(256,)),
        discriminator=DiscriminatorConfig(start_step=None, small=SmallConfig(windows=(256,), width=4)),
        optimizer=OptimizerConfig(learning_rate=1e-2, warmup_steps=10),
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
    clean = tones("test", 0, 32)
    noisy = clean + 1.5 * noise("test", 0, 32)
    denoised, kept = (codec.decode(codec.encode(noisy, denoise=choice)) for choice in (True, False))
    assert distance(denoised, clean) < 0.75 * distance(kept, clean)
    assert distance(kept, noisy) < 0.75 * distance(denoised, noisy)


def distance(decoded, target):
    return mel_distance(decoded.flatten(0, 1), target.flatten(0, 1), 16_000)


@pytest.fixture
def noise_shards(tmp_path):
    for seed in range(6):
        samples = 0.1 * np.random.default_rng(seed).standard_normal(16_000)
        soundfile.write(tmp_path / f"{seed}.wav", samples, 16_000)
    build_dataset([tmp_path], tmp_path / "noise", BuildConfig(val_percent=0, test_percent=0))
    return tmp_path / "noise"


@pytest.fixture
def denoising_config(tiny_config, noise_shards):
    network = {"filters": 4, "ratios": [5, 4, 2], "lstm_layers": 0, "denoising": True}
    codec = {"name": "tiny", "family": "seanet", "hop_length": 40, "latent_dim": 8, "network": network}
    codec["quantizer"] = {"num_quantizers": 3, "codebook_size": 8, "ema_decay": 0.9}
    return str(tiny_config(model__codec=codec, data__noise_directory=str(noise_shards), trainer__max_steps=8))


class Killed(Exception):  # noqa: N818  # an event, not an error of ours
    pass


def test_with_noise_too_a_resumed_run_equals_an_uninterrupted_one(tmp_path, denoising_config, monkeypatch):
    arguments = ["--config", denoising_config, "--trainer.limit_val_batches", "0", "--trainer.precision", "32-true"]
    straight = fit(arguments, run_dir=tmp_path / "straight")
    heard, seen = NoiseSource.segments, []

    def die_at_seven(self, step, items):
        seen.append(step)
        if step == 6:
            raise Killed
        return heard(self, step, items)

    with monkeypatch.context() as patch:
        patch.setattr(NoiseSource, "segments", die_at_seven)
        with pytest.raises(Killed):
            fit(arguments, run_dir=tmp_path / "broken")
    assert seen == [0, 1, 2, 3, 4, 5, 6]
    assert len(straight.read_lineage()["noise_index_sha256"]) == 64
    resumed = fit([], resume=tmp_path / "broken")
    first, second = (load_checkpoint(run.last_checkpoint)["state_dict"] for run in (straight, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(*first["codec.encoder.film.table.weight"])


def test_a_denoising_codec_and_noise_come_together(tmp_path, denoising_config, tiny_config, noise_shards):
    with pytest.raises(RunError, match="noise_directory must name shards of noise"):
        fit(["--config", denoising_config, "--data.noise_directory", "null"], run_dir=tmp_path / "run")
    config = str(tiny_config(data__noise_directory=str(noise_shards)))
    with pytest.raises(RunError, match="can't denoise: leave it out"):
        fit(["--config", config], run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()
