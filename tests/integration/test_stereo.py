"""Stereo from shards to the service: what is left stays left, what is right stays right."""

import io
import warnings

import numpy as np
import pytest
import soundfile
import yaml
from click.testing import CliRunner
from fastapi.testclient import TestClient

from nacre import cli
from service_app import make_app
from serving.engine import Engine
from serving.limits import ServiceLimits
from tiny import TRAINED_NETWORK

RATE = 16_000
LEFT_HZ, RIGHT_HZ = 400.0, 1000.0

CONFIG = {
    "model": {
        "codec": {
            "name": "tiny_stereo",
            "channels": 2,
            "hop_length": 160,
            "latent_dim": 24,
            "quantizer": {"num_quantizers": 4, "codebook_size": 64, "ema_decay": 0.9},
            "network": TRAINED_NETWORK,
        },
        "loss": {"mel_windows": [128, 512], "mel_bands": [10, 40], "stft_windows": [256]},
        "discriminator": {
            "start_step": 15,
            "lead_steps": 1,
            "segment_samples": 1600,
            "small": {"windows": [256], "width": 4},
        },
        "optimizer": {"warmup_steps": 2},
        "quantizer": {"start_step": 5, "calibration_segments": 32, "dropout": [1, 2, 4]},
    },
    "data": {"segment_samples": 3200, "batch_size": 4, "num_workers": 0, "max_val_clips": 2, "max_val_seconds": 1.0},
    "trainer": {
        "accelerator": "cpu",
        "devices": 1,
        "max_steps": 30,
        "val_check_interval": 15,
        "log_every_n_steps": 5,
    },
    "run": {"wandb_mode": "disabled"},
}


def stereo(seed, seconds=1.0):
    """Return tones [T, 2] of drifting pitch and their own loudness, low ones left and high ones right."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    pitches = np.array([LEFT_HZ, RIGHT_HZ]) * rng.uniform(0.8, 1.2, 2)
    drift = 1 + 0.02 * np.sin(2 * np.pi * rng.uniform(1, 3) * time[:, None])
    level = 0.3 * (0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(1, 4, 2) * time[:, None] + rng.uniform(0, 6, 2)) ** 2)
    tones = np.sin(2 * np.pi * np.cumsum(pitches * drift, 0) / RATE)
    return level * tones + 0.001 * rng.standard_normal(tones.shape)


def nacre(*words):
    result = CliRunner().invoke(cli, [*map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A stereo codec, trained from wav files by the commands that a user types."""
    root = tmp_path_factory.mktemp("stereo")
    (root / "audio").mkdir()
    for seed in range(24):
        soundfile.write(root / "audio" / f"{seed}.wav", stereo(seed), RATE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nacre("data", "build", root / "audio", "--out", root / "data", "--channels", 2, "--val-percent", 25)
        (root / "stereo.yaml").write_text(yaml.safe_dump(CONFIG))
        train = ("--config", root / "stereo.yaml", "--data.directory", root / "data")
        nacre("train", "fit", *train, "--run-dir", root / "run")
        nacre("train", "export", root / "run", "--out", root / "package", "--checkpoint", "last")
    return root / "package"


@pytest.fixture
def model(package):
    nacre("registry", "register", package, "--name", "stereo")
    nacre("registry", "promote", "stereo:1", "production")
    return "stereo@production"


def likeness(decoded, original):
    """Return the correlation [2, 2] of each decoded channel with each original one."""
    return np.corrcoef(decoded.T, original.T)[:2, 2:]


def assert_channels_are_kept(decoded, original):
    assert decoded.shape == original.shape
    found = likeness(decoded, original)
    assert (np.diag(found) > 0.7).all(), found
    assert (np.abs(found[~np.eye(2, dtype=bool)]) < 0.3).all(), found


def test_left_stays_left_through_files_and_the_service(model, tmp_path):
    original = stereo(seed=99)
    soundfile.write(tmp_path / "a.wav", original, RATE)
    nacre("encode", tmp_path / "a.wav", tmp_path / "a.nac", "--model", model)
    nacre("decode", tmp_path / "a.nac", tmp_path / "b.wav", "--model", model)
    decoded, rate = soundfile.read(tmp_path / "b.wav")
    assert rate == RATE
    assert_channels_are_kept(decoded, original)
    assert "1 stream(s)" in nacre("inspect", tmp_path / "a.nac")
    assert "codebook.perplexity" in nacre("registry", "show", model)

    limits = ServiceLimits()
    engine = Engine(limits)
    engine.load(model)
    client = TestClient(
        make_app(engine, limits, tmp_path / "home"), base_url="http://127.0.0.1", client=("127.0.0.1", 50_000)
    )
    container = client.post("/v1/encode", content=(tmp_path / "a.wav").read_bytes()).content
    assert container == (tmp_path / "a.nac").read_bytes()
    served, _ = soundfile.read(io.BytesIO(client.post("/v1/decode", content=container).content))
    np.testing.assert_array_equal(served, decoded)
    engine.close()


@pytest.mark.parametrize("silent", [0, 1])
def test_a_silent_channel_stays_nearly_silent(model, tmp_path, silent):
    original = stereo(seed=98)
    original[:, silent] = 0
    soundfile.write(tmp_path / "a.wav", original, RATE)
    nacre("encode", tmp_path / "a.wav", tmp_path / "a.nac", "--model", model)
    nacre("decode", tmp_path / "a.nac", tmp_path / "b.wav", "--model", model)
    levels = np.sqrt(np.square(soundfile.read(tmp_path / "b.wav")[0]).mean(0))
    assert levels[silent] < 0.5 * levels[1 - silent]


def test_a_mono_file_is_refused_with_the_reason(model, tmp_path):
    soundfile.write(tmp_path / "mono.wav", stereo(seed=97)[:, 0], RATE)
    words = ("encode", tmp_path / "mono.wav", tmp_path / "a.nac", "--model", model)
    error = CliRunner().invoke(cli, [*map(str, words)]).exception
    assert "1 channels; 'tiny_stereo' codes 2 at a time" in str(error)
