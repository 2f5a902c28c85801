import importlib.util
import math
import os
from pathlib import Path

import pytest
import torch

from codec.audio import read_audio
from training.callbacks import spectrogram_image
from training.metrics import log_spectral_distance_db, measure, mel_distance, si_sdr_db


@pytest.fixture
def audio():
    return torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0)) * 0.1


def test_equal_signals_score_perfectly(audio):
    scores = measure(audio, audio, 16_000).scores
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
    measured = measure(silence, silence, 16_000)
    assert math.isnan(measured.scores["si_sdr_db"])
    assert math.isnan(measured.scores["stoi"])
    assert measured.scores["mel_distance"] == 0
    assert measured.undefined == dict.fromkeys(["si_sdr_db", "stoi"], "the original is silent")


def test_every_metric_hears_swapped_channels():
    generator = torch.Generator().manual_seed(0)
    stereo = 0.1 * torch.randn(2, 16_000, generator=generator) * torch.tensor([[1.0], [0.3]])
    nearly = stereo + 0.003 * torch.randn(2, 16_000, generator=generator)
    good, swapped = measure(nearly, stereo, 16_000).scores, measure(nearly.flip(0), stereo, 16_000).scores
    assert swapped["mel_distance"] > 2 * good["mel_distance"]
    assert swapped["si_sdr_db"] < good["si_sdr_db"] - 20
    assert swapped["log_spectral_distance_db"] > good["log_spectral_distance_db"] + 3
    assert swapped["stoi"] < good["stoi"] - 0.2
    assert measure(nearly.flip(0), stereo.flip(0), 16_000).scores == pytest.approx(good, rel=1e-4)


def test_the_logged_picture_shows_each_channel():
    time = torch.arange(16_000) / 16_000
    tone = 0.5 * torch.sin(2 * torch.pi * 1000 * time)
    mono, picture = spectrogram_image(tone[None]), spectrogram_image(torch.stack([tone, -tone]))
    assert picture.shape == (2 * mono.shape[0], mono.shape[1])
    assert (picture[: len(mono)] == mono).all()
    assert (picture[len(mono) :] == mono).all()
    row = int(mono[:, mono.shape[1] // 2].argmax())
    assert row == mono.shape[0] - 1 - 1000 * 512 // 16_000


@pytest.fixture
def speech():
    """Real speech [1, T] at 16 kHz: PESQ looks for pauses, which noise has not."""
    audio = read_audio(Path(__file__).parents[1] / "data" / "speech_en_allison_1.flac")
    return torch.from_numpy(audio.samples)[:1, :48_000].clone()


def need(package):
    if importlib.util.find_spec(package) is None:
        reason = f"{package} is not installed: pip install 'nacre[metrics]'"
        if os.environ.get("NACRE_CI") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


def noisy(audio, level):
    return audio + level * torch.randn(audio.shape, generator=torch.Generator().manual_seed(0))


def test_pesq_falls_with_noise_at_every_rate(speech):
    need("pesq")
    scores = [measure(noisy(speech, level), speech, 16_000, ["pesq"]).scores["pesq"] for level in (0, 0.001, 0.03)]
    assert scores[0] == pytest.approx(4.644, abs=0.001)
    assert scores == sorted(scores, reverse=True)
    assert scores[2] < 2
    doubled, channels = speech.repeat_interleave(2, dim=1), speech.expand(2, -1)
    assert measure(doubled, doubled, 32_000, ["pesq"]).scores["pesq"] == pytest.approx(4.644, abs=0.001)
    half = torch.cat([speech, noisy(speech, 0.03)])
    assert measure(half, channels, 16_000, ["pesq"]).scores["pesq"] == pytest.approx((scores[0] + scores[2]) / 2)


@pytest.mark.parametrize(
    "samples, reason",
    [(48_000, "finds no speech"), (100, "shorter than a quarter of a second"), (1, "shorter than a quarter")],
)
def test_pesq_says_why_it_is_undefined(make_voice, samples, reason):
    need("pesq")
    clip = torch.from_numpy(make_voice(0, 3.0))[None, :samples]
    measured = measure(clip, clip, 16_000, ["pesq"])
    assert math.isnan(measured.scores["pesq"])
    assert reason in measured.undefined["pesq"]


@pytest.mark.parametrize("sample_rate", [16_000, 24_000])
def test_visqol_falls_with_noise_in_speech_and_audio_mode(speech, sample_rate):
    need("visqol")
    clean, spoilt = (
        measure(noisy(speech, level), speech, sample_rate, ["visqol"]).scores["visqol"] for level in (0, 0.03)
    )
    assert clean > 4.6
    assert 1 <= spoilt < clean - 0.5


@pytest.mark.parametrize("sample_rate", [16_000, 48_000])
def test_visqol_says_why_it_is_undefined(speech, sample_rate):
    need("visqol")
    silence = torch.zeros_like(speech)
    for reconstruction, original, reason in [
        (silence, speech, "the reconstruction is silent"),
        (speech, silence, "the original is silent"),
        (speech[:, :500], speech[:, :500], "too short"),
    ]:
        measured = measure(reconstruction, original, sample_rate, ["visqol"])
        assert math.isnan(measured.scores["visqol"])
        assert reason in measured.undefined["visqol"]
