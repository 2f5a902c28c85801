"""What evaluation adds to the metrics of validation."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from codec.audio import Audio, read_audio, resample
from training.evaluation.metric_table import METRIC_TABLE
from training.evaluation.run import metrics_of
from training.metrics import METRICS, measure

CLIPS = Path(__file__).parents[2] / "data"
SPEECH = CLIPS / "speech_en_allison_1.flac"


@pytest.fixture(scope="module")
def speech():
    return read_audio(SPEECH)


def low_passed(audio, rate):
    return resample(resample(audio, rate), audio.sample_rate)


def test_bandwidth_is_where_a_low_pass_ends(speech):
    noise = Audio(samples=np.random.default_rng(0).normal(0, 0.1, (1, 32_000)).astype(np.float32), sample_rate=16_000)
    narrow = low_passed(noise, 8_000)
    original, kept = (torch.from_numpy(audio.samples) for audio in (noise, narrow))
    assert measure(original, original, 16_000, ["bandwidth_khz"]).scores["bandwidth_khz"] == pytest.approx(8, abs=0.1)
    found = measure(kept[:, : original.shape[1]], original, 16_000, ["bandwidth_khz"]).scores["bandwidth_khz"]
    assert found == pytest.approx(4, abs=0.3)


def test_silence_has_no_bandwidth():
    silence = torch.zeros(1, 8000)
    assert measure(silence, silence, 16_000, ["bandwidth_khz"]).undefined == {"bandwidth_khz": "the original is silent"}


@pytest.mark.skipif(find_spec("distillmos") is None, reason="pip install --no-deps distillmos xls-r-sqa")
def test_distillmos_hears_noise(speech):
    clean = torch.from_numpy(speech.samples)
    noisy = clean + 0.05 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    scores = [measure(heard, clean, 16_000, ["distillmos"]).scores["distillmos"] for heard in (clean, noisy)]
    assert 4 < scores[0] <= 5
    assert scores[1] < scores[0] - 0.5


@pytest.mark.skipif(find_spec("visqol") is None, reason="pip install 'nacre[metrics]'")
def test_visqol_has_two_modes(speech):
    original = torch.from_numpy(speech.samples)
    same = measure(original, original, 16_000, ["visqol", "visqol_speech", "visqol_audio"]).scores
    assert same["visqol"] == same["visqol_speech"] != same["visqol_audio"]
    assert all(4 < score <= 5 for score in same.values())


def test_the_kind_of_a_clip_chooses_its_metrics():
    assert {"pesq", "stoi", "visqol_speech", "distillmos"} <= set(metrics_of("speech", 44_100))
    assert metrics_of("unknown", 16_000) == metrics_of("speech", 16_000)
    assert metrics_of("unknown", 44_100) == metrics_of("music", 16_000)
    assert "visqol_audio" in metrics_of("sound", 48_000)
    assert "pesq" not in metrics_of("sound", 48_000)


def test_every_metric_is_explained():
    shown = {name for rate in (16_000, 48_000) for kind in ("speech", "music") for name in metrics_of(kind, rate)}
    assert shown <= METRIC_TABLE.keys()
    assert shown <= METRICS.keys()
    assert all(METRIC_TABLE[name].source and METRIC_TABLE[name].bad_at for name in shown)
