import warnings

import lightning as L  # noqa: N812  # the field's name for it
import pytest
import torch

from codec.config import CodecConfig, QuantizerConfig
from codec.errors import RunError
from codec.nacre.config import NacreConfig
from codec.seanet.config import SeanetConfig
from codec.segmentation import Segmentation
from codec.segments import decode_segments, encode_segments
from data_pipelines.validation import ValidationClip
from training.config import DiscriminatorConfig, LossConfig, OptimizerConfig, QuantizerTraining
from training.discriminators.config import SmallConfig
from training.module import CodecTrainer


class OneBatch(L.LightningDataModule):
    sample_rate, channels, index_sha256 = 16_000, 1, "0" * 64

    def __init__(self, audio):
        super().__init__()
        self.audio = audio

    def train_dataloader(self):
        return torch.utils.data.DataLoader([self.audio] * 200, batch_size=None)

    def calibration_audio(self, num_segments):
        return self.audio


class Losses(L.Callback):
    def __init__(self):
        self.values = []

    def on_train_batch_end(self, trainer, *_):
        self.values.append(float(trainer.callback_metrics["train/gen/loss"]))


@pytest.mark.parametrize(("loss", "balanced"), [("hinge", False), ("least_squares", False), ("hinge", True)])
def test_one_batch_overfit_lowers_the_loss(loss, balanced):
    time = torch.arange(3200) / 16_000
    pitches = torch.tensor([120.0, 180.0, 240.0, 310.0])[:, None, None]
    audio = sum(torch.sin(2 * torch.pi * k * pitches * time) * 0.1 / k for k in (1, 2, 5))
    torch.manual_seed(0)
    network = NacreConfig(width=32, expansion=2, encoder_blocks=1, level_bands=4)
    module = CodecTrainer(
        codec=CodecConfig(
            name="tiny",
            hop_length=160,
            latent_dim=16,
            quantizer=QuantizerConfig(num_quantizers=2, codebook_size=16),
            network=network,
        ),
        loss=LossConfig(balanced=balanced, mel_windows=(128, 512), mel_bands=(10, 40), stft_windows=(256,)),
        discriminator=DiscriminatorConfig(
            start_step=100, lead_steps=5, loss=loss, segment_samples=800, small=SmallConfig(windows=(256,))
        ),
        optimizer=OptimizerConfig(learning_rate=3e-3, warmup_steps=5),
        quantizer=QuantizerTraining(start_step=10, calibration_segments=4, dropout=(2,)),
    )
    losses = Losses()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")
        trainer = L.Trainer(
            accelerator="cpu",
            max_steps=120,
            callbacks=[losses],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,
            log_every_n_steps=1,
        )
        trainer.fit(module, datamodule=OneBatch(audio))
    early, late = sum(losses.values[12:22]) / 10, sum(losses.values[90:100]) / 10
    assert late < 0.9 * early
    assert all(torch.isfinite(torch.tensor(losses.values)))
    assert {"train/gen/adversarial", "train/gen/feature_matching", "train/disc/loss"} <= set(trainer.callback_metrics)


def test_validation_hears_the_weights_as_they_are():
    """A fused optimizer's steps are not counted as changes, so layouts made at an earlier validation would stay."""
    torch.manual_seed(0)
    network = NacreConfig(width=16, expansion=2, encoder_blocks=1, decoder_blocks=1, level_bands=4)
    module = CodecTrainer(codec=CodecConfig(name="tiny", hop_length=160, latent_dim=16, network=network))
    latents = torch.randn(1, 16, 20)

    def heard():
        module.on_validation_epoch_start()
        with torch.inference_mode():
            return module.codec.decoder(latents)

    before = heard()
    optimizer = torch.optim.AdamW(module.codec.parameters(), lr=0.1, fused=True)
    module.codec.decoder(latents).square().mean().backward()
    optimizer.step()
    with torch.no_grad():
        expected = module.codec.decoder(latents)
    assert not torch.allclose(before, expected, atol=1e-3)
    torch.testing.assert_close(heard(), expected, atol=1e-5, rtol=1e-5)


def test_a_codec_in_segments_is_validated_as_its_package_would_code():
    torch.manual_seed(0)
    codec = CodecConfig(
        name="tiny",
        family="seanet",
        channels=2,
        hop_length=4,
        latent_dim=8,
        quantizer=QuantizerConfig(num_quantizers=2, codebook_size=16),
        network=SeanetConfig(
            filters=2, ratios=(2, 2), causal=False, segments=Segmentation(length=1600, overlap=16), lstm_layers=0
        ),
    )
    module = CodecTrainer(codec=codec).eval()
    module.codec.initialize_codebooks(0.1 * torch.randn(2, 2, 1600))
    audio = 0.1 * torch.randn(1, 2, 4001) * torch.linspace(0.1, 1, 4001)
    coded = encode_segments(module.codec, audio)
    assert coded.scales.shape == (1, 3)
    wanted = decode_segments(module.codec, coded, num_samples=4001)
    assert torch.equal(module.validation_step(ValidationClip("clip", audio, None), 0), wanted)


def test_factorized_codes_start_with_the_network():
    codec = CodecConfig(
        name="tiny",
        hop_length=160,
        quantizer=QuantizerConfig(kind="factorized", num_quantizers=2, codebook_size=16, codebook_dim=4),
        network=NacreConfig(width=16, encoder_blocks=1, level_bands=4),
    )
    with pytest.raises(RunError, match="start_step must be 0"):
        CodecTrainer(codec=codec, quantizer=QuantizerTraining(start_step=10))
    assert CodecTrainer(codec=codec, quantizer=QuantizerTraining(start_step=0)).quantizer_training.start_step == 0
