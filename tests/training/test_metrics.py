import math

import pytest
import torch

from training.callbacks import spectrogram_image
from training.metrics import log_spectral_distance_db, measure, mel_distance, si_sdr_db


@pytest.fixture
def audio():
    return torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0)) * 0.1


def test_equal_signals_score_perfectly(audio):
    scores = measure(audio, audio, 16_000)
    assert scores["mel_distance"] == 0
    assert scores["log_spectral_distance_db"] == 0
    assert scores["si_sdr_db"] > 80
    assert scores["stoi"] == pytest.approx(1, abs=1e-6)


def test_si_sdr_is_the_ratio_of_added_noise_and_ignores_gain(audio):
    noise = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(1)) * 0.01
    assert si_sdr_db(audio + noise, audio) == pytest.approx(20, abs=0.5)
    assert si_sdr_db(0.3 * (audio + noise), audio) == pytest.approx(si_sdr_db(audio + noise, audio), abs=1e-3)


def test_log_spectral_distance_of_a_gain_is_that_gain(audio):
    assert log_spectral_distance_db(audio * 10, audio) == pytest.approx(20, abs=0.1)


def test_more_noise_is_a_larger_mel_distance(audio):
    noise = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(1))
    distances = [mel_distance(audio + scale * noise, audio, 16_000) for scale in (0.001, 0.01, 0.1)]
    assert distances == sorted(distances)


@pytest.mark.parametrize("num_samples", [1, 100, 16_000])
def test_silence_and_tiny_clips_are_undefined_rather_than_fatal(num_samples):
    silence = torch.zeros(1, num_samples)
    scores = measure(silence, silence, 16_000)
    assert math.isnan(scores["si_sdr_db"])
    assert math.isnan(scores["stoi"])
    assert scores["mel_distance"] == 0


def test_every_metric_hears_swapped_channels():
    generator = torch.Generator().manual_seed(0)
    stereo = 0.1 * torch.randn(2, 16_000, generator=generator) * torch.tensor([[1.0], [0.3]])
    nearly = stereo + 0.003 * torch.randn(2, 16_000, generator=generator)
    good, swapped = measure(nearly, stereo, 16_000), measure(nearly.flip(0), stereo, 16_000)
    assert swapped["mel_distance"] > 2 * good["mel_distance"]
    assert swapped["si_sdr_db"] < good["si_sdr_db"] - 20
    assert swapped["log_spectral_distance_db"] > good["log_spectral_distance_db"] + 3
    assert swapped["stoi"] < good["stoi"] - 0.2
    assert measure(nearly.flip(0), stereo.flip(0), 16_000) == pytest.approx(good, rel=1e-4)


def test_the_logged_picture_shows_each_channel():
    time = torch.arange(16_000) / 16_000
    tone = 0.5 * torch.sin(2 * torch.pi * 1000 * time)
    mono, picture = spectrogram_image(tone[None]), spectrogram_image(torch.stack([tone, -tone]))
    assert picture.shape == (2 * mono.shape[0], mono.shape[1])
    assert (picture[: len(mono)] == mono).all()
    assert (picture[len(mono) :] == mono).all()
    row = int(mono[:, mono.shape[1] // 2].argmax())
    assert row == mono.shape[0] - 1 - 1000 * 512 // 16_000
