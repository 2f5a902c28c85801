import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from tiny import TRAINED_NETWORK
from training.checkpoint_io import load_checkpoint
from training.run import Run

SAMPLE_RATE = 16_000

TINY = {
    "seed_everything": 3,
    "model": {
        "codec": {
            "name": "tiny",
            "hop_length": 160,
            "latent_dim": 8,
            "quantizer": {"num_quantizers": 3, "codebook_size": 8, "ema_decay": 0.9},
            "network": TRAINED_NETWORK,
        },
        "loss": {"mel_windows": [128, 512], "mel_bands": [10, 40], "stft_windows": [256]},
        "discriminator": {
            "start_step": 4,
            "lead_steps": 1,
            "segment_samples": 1600,
            "small": {"windows": [256, 128], "width": 4},
        },
        "optimizer": {"warmup_steps": 2},
        "quantizer": {"start_step": 2, "calibration_segments": 8, "dropout": [1, 2, 3]},
    },
    "data": {"segment_samples": 3200, "batch_size": 4, "num_workers": 0, "max_val_clips": 2, "max_val_seconds": 1.0},
    "trainer": {
        "accelerator": "cpu",
        "devices": 1,
        "max_steps": 10,
        "val_check_interval": 5,
        "log_every_n_steps": 1,
    },
    "run": {"ema_decay": 0.9, "checkpoint_every_n_steps": 5, "keep_best": 1, "wandb_mode": "disabled"},
}


def synthesize(seed, seconds=2.0):
    """Harmonics with a drifting pitch and syllable-like envelope over a little noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 110 + 30 * seed % 90 + 20 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    voice = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 12))
    envelope = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * time + seed) ** 2
    return (0.15 * voice * envelope + 0.003 * rng.standard_normal(len(time))).astype(np.float32)


@pytest.fixture
def make_voice():
    """Return the function that synthesises [T] samples of voice-like audio."""
    return synthesize


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """A small data set, built once by the data room."""
    from data_pipelines.build import build_dataset
    from data_pipelines.settings import BuildConfig

    root = tmp_path_factory.mktemp("data")
    for seed in range(16):
        soundfile.write(root / f"{seed}.wav", synthesize(seed), SAMPLE_RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build_dataset([root], root / "shards", BuildConfig(val_percent=25, test_percent=0))
    return root / "shards"


@pytest.fixture(scope="session")
def uneven_shards(tmp_path_factory):
    """A data set of shards that hold different numbers of records."""
    from data_pipelines.build import build_dataset
    from data_pipelines.folder import DataFolder
    from data_pipelines.index import read_index
    from data_pipelines.settings import BuildConfig

    root = tmp_path_factory.mktemp("uneven")
    for seed in range(24):
        soundfile.write(root / f"{seed}.wav", synthesize(seed, 0.4 + seed % 7 / 4), SAMPLE_RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        build_dataset([root], root / "shards", BuildConfig(val_percent=15, test_percent=0, shard_bytes=100_000))
    index, _ = read_index(DataFolder(str(root / "shards")))
    assert len({len(shard.records) for shard in index.splits["train"]}) > 1
    return root / "shards"


def compare(first, second, path):
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), path
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), path
        for key in first:
            compare(first[key], second[key], f"{path}.{key}")
    elif isinstance(first, list | tuple):
        for index, pair in enumerate(zip(first, second, strict=True)):
            compare(*pair, f"{path}[{index}]")
    else:
        assert first == second, path


@pytest.fixture
def assert_same_training():
    """Return a function that compares two runs' last.ckpt bit for bit: all that training goes on from."""

    def check(first, second):
        first, second = (load_checkpoint(Run(Path(run)).last_checkpoint) for run in (first, second))
        names = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers")
        for name in ("global_step", "AudioDataModule", *names):
            compare(first[name], second[name], name)

    return check


@pytest.fixture
def tiny_config(tmp_path, shards):
    """Return a function that writes a complete tiny YAML, changed by dotted keys, and returns its path."""

    def write(**changes):
        config = json.loads(json.dumps(TINY))
        config["data"]["directory"] = str(shards)
        for key, value in changes.items():
            *parents, leaf = key.split("__")
            node = config
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = value
        path = tmp_path / "tiny.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    return write
