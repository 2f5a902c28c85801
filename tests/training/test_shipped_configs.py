"""Every training configuration that ships: complete, of the preset it is named after, and it trains, made small."""

import inspect
import warnings
from pathlib import Path

import click
import numpy as np
import pytest
import soundfile
import yaml

from codec.config import CodecConfig
from data_pipelines.build import build_dataset
from data_pipelines.datamodule import AudioDataModule
from data_pipelines.settings import BuildConfig
from training.cli import fit
from training.config import (
    AugmentationConfig,
    DenoisingConfig,
    DiscriminatorConfig,
    LossConfig,
    OptimizerConfig,
    QuantizerTraining,
    RunConfig,
    ValidationConfig,
)
from training.discriminators.config import (
    BandConfig,
    PeriodConfig,
    ResidualConfig,
    SmallConfig,
    STFTConfig,
    WaveConfig,
)
from training.export import export_package

CONFIGS = Path(__file__).parents[2] / "configs"
TRAIN = sorted((CONFIGS / "train").glob("*.yaml"))
PRESETS = {path.stem for path in (CONFIGS / "codec").glob("*.yaml")}
SECTIONS = {
    "loss": LossConfig,
    "discriminator": DiscriminatorConfig,
    "optimizer": OptimizerConfig,
    "quantizer": QuantizerTraining,
    "augmentation": AugmentationConfig,
    "denoising": DenoisingConfig,
    "validation": ValidationConfig,
}
KINDS = {
    "small": SmallConfig,
    "stft": STFTConfig,
    "period": PeriodConfig,
    "bands": BandConfig,
    "wave": WaveConfig,
    "residual": ResidualConfig,
}
# What the user gives on the command line, and what the one seed gives.
NOT_IN_DATA = {"directory", "seed", "self"}

# The same shapes with next to nothing in them.
SMALL = {
    "nacre": {"width": 8, "expansion": 1, "encoder_blocks": 1, "decoder_blocks": 2, "level_bands": 1},
    "seanet": {"filters": 2, "residual_units": 1, "lstm_layers": 0},
    "dac": {"encoder_width": 2, "decoder_width": 16},
}
SMALL_OPTIONS = {
    "model.codec.latent_dim": 4,
    "model.codec.quantizer.num_quantizers": 2,
    "model.codec.quantizer.codebook_size": 4,
    "model.quantizer.start_step": 0,
    "model.quantizer.calibration_segments": 2,
    "model.discriminator.start_step": 0,
    "model.discriminator.lead_steps": 0,
    "data.batch_size": 2,
    "data.num_workers": 0,
    "data.max_val_clips": 1,
    "data.max_val_seconds": 0.5,
    "trainer.accelerator": "cpu",
    "trainer.devices": 1,
    "trainer.max_steps": 2,
    "trainer.val_check_interval": 2,
    "trainer.log_every_n_steps": 1,
    "run.wandb_mode": "disabled",
}


def read(path):
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", TRAIN, ids=lambda path: path.stem)
def test_it_names_every_key_and_holds_the_codec_of_its_name(path):
    config = read(path)
    assert set(config) == {"seed_everything", "model", "data", "trainer", "run"}
    assert set(config["model"]) == {"codec", "init_from", *SECTIONS}
    for name, cls in SECTIONS.items():
        given = config["model"][name]
        if given is not None:
            assert set(given) == set(cls.__dataclass_fields__), name
            cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})
    for name, cls in KINDS.items():
        kind = config["model"]["discriminator"][name]
        assert kind is None or set(kind) == set(cls.__dataclass_fields__), name
    codec = CodecConfig.from_mapping(config["model"]["codec"])
    assert (config["model"]["denoising"] is not None) == codec.can_denoise
    wanted = set(inspect.signature(AudioDataModule.__init__).parameters) - NOT_IN_DATA
    assert set(config["data"]) == wanted - ({"noise_directory"} if codec.can_denoise else set())
    assert set(config["run"]) == set(RunConfig.__dataclass_fields__)
    assert config["data"]["segment_samples"] % codec.hop_length == 0
    assert max(config["model"]["quantizer"]["dropout"]) == codec.quantizer.num_quantizers
    if path.stem in PRESETS:
        assert codec == CodecConfig.from_mapping(read(CONFIGS / "codec" / path.name))


def test_every_preset_can_be_trained():
    assert len(PRESETS) == 13
    assert {path.stem for path in TRAIN} >= PRESETS | {"debug", "demo"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Return a function that gives shards of noisy tones at a rate, mono or stereo."""
    built = {}

    def shards(rate, channels):
        if (rate, channels) not in built:
            root = tmp_path_factory.mktemp("shards")
            for seed in range(8):
                rng = np.random.default_rng(seed)
                tones = np.sin(2 * np.pi * rng.uniform(100, 3000, channels) * np.arange(rate)[:, None] / rate)
                soundfile.write(root / f"{seed}.wav", 0.3 * tones + 0.03 * rng.standard_normal(tones.shape), rate)
            config = BuildConfig(sample_rate=rate, channels=channels, val_percent=50, test_percent=0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                build_dataset([root], root / "data", config)
            built[rate, channels] = str(root / "data")
        return built[rate, channels]

    return shards


@pytest.mark.parametrize("path", TRAIN, ids=lambda path: path.stem)
def test_it_trains_made_small(path, data, tmp_path):
    config = read(path)
    codec = CodecConfig.from_mapping(config["model"]["codec"])
    directory = data(codec.sample_rate, codec.channels)
    options = SMALL_OPTIONS | {f"model.codec.network.{key}": value for key, value in SMALL[codec.family].items()}
    kinds = [name for name in KINDS if config["model"]["discriminator"][name] is not None]
    options |= {f"model.discriminator.{name}.width": 2 for name in kinds}
    options["data.directory"] = directory
    options["data.segment_samples"] = -(-6400 // codec.hop_length) * codec.hop_length
    if codec.quantizer.kind == "factorized":
        options["model.codec.quantizer.codebook_dim"] = 2
    if codec.can_denoise:
        options["data.noise_directory"] = directory
    for key, value in options.items():
        *parents, leaf = key.split(".")
        section = config
        for parent in parents:
            section = section[parent]
        section[leaf] = value
    (tmp_path / path.name).write_text(yaml.safe_dump(config))
    run = fit(["--config", str(tmp_path / path.name)], run_dir=tmp_path / "run")
    package = export_package(run.directory, tmp_path / "package")
    assert package.metrics["step"] == 2
    assert ("denoised/mel_distance" in package.metrics) == codec.can_denoise
    assert (package.config.name, package.config.can_denoise) == (codec.name, codec.can_denoise)
    assert len(package.metrics["codebook"]["perplexity"]) == 2


@pytest.mark.parametrize(("name", "key"), [("soundstream_24k", "filters"), ("dac_24k", "encoder_width")])
def test_no_option_can_silently_reset_a_network(name, key, tmp_path):
    arguments = ["--config", str(CONFIGS / "train" / f"{name}.yaml"), "--data.directory", str(tmp_path)]
    with pytest.raises(click.UsageError, match="change the YAML instead"):
        fit([*arguments, f"--model.codec.network.{key}", "8"], run_dir=tmp_path / "run")


def test_an_option_changes_one_key_of_a_nacre_network_and_no_other(data, tmp_path):
    path = CONFIGS / "train" / "nacre_16k_causal.yaml"
    options = {**SMALL_OPTIONS, "data.directory": data(16_000, 1), "model.codec.network.level_bands": 3}
    options["data.segment_samples"] = 6400
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    run = fit(["--config", str(path), *words], run_dir=tmp_path / "run")
    resolved = read(run.config)["model"]["codec"]["network"]
    assert resolved == read(path)["model"]["codec"]["network"] | {"level_bands": 3}
