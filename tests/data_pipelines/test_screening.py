import sys

import numpy as np
import pytest
import soundfile

from codec.audio import Audio
from data_pipelines.screening import REASONS, clipped_share, read_pcm, screen_audio, screen_file

RATE = 16000


def reason(path, channels=1):
    return screen_file(path, sample_rate=RATE, channels=channels).reason


def sine(amplitude, hz=440.0, seconds=1.0, rate=RATE):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)


@pytest.mark.parametrize(
    ("samples", "options", "expected"),
    [
        (np.zeros(RATE), {}, "silence"),
        (sine(0.0005), {}, "silence"),
        (sine(0.01), {}, None),
        (np.concatenate([np.zeros(9 * RATE), sine(0.01, seconds=0.2)]), {}, None),
        (np.stack([sine(0.5), -sine(0.5)], axis=1), {}, "silence"),
        (np.clip(sine(2.0), -1, 1), {}, "clipping"),
        (0.7 * np.clip(sine(2.0), -1, 1), {}, "clipping"),
        (sine(1.0), {}, None),
        (np.full(1, 0.5), {}, "too_short"),
        (np.zeros(0), {}, "too_short"),
        (sine(0.5, seconds=0.2), {}, "too_short"),
        (np.full(RATE, np.nan), {"subtype": "FLOAT"}, "non_finite"),
        (np.append(sine(0.5), np.inf), {"subtype": "DOUBLE"}, "non_finite"),
        (np.tile(sine(0.5)[:, None], 3), {}, "wrong_channels"),
    ],
)
def test_each_defect_has_its_reason(tmp_path, samples, options, expected):
    soundfile.write(tmp_path / "a.wav", samples, RATE, **options)
    assert reason(tmp_path / "a.wav") == expected


@pytest.mark.parametrize("content", [b"", b"this is no audio", b"RIFF\x00\x00\x00\x00WAVE"])
def test_what_is_no_audio_is_undecodable(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    verdict = screen_file(tmp_path / "a.wav", sample_rate=RATE, channels=1)
    assert verdict.reason == "undecodable"
    assert len(verdict.sha256) == 64


def test_damage_inside_a_file_is_a_verdict(tmp_path, write_noise):
    path = tmp_path / "a.flac"
    write_noise(path, 3.0)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = b"\xff" * 2000
    path.write_bytes(data)
    assert reason(path) in (None, "undecodable")
    path.write_bytes(data[:30])
    assert reason(path) == "undecodable"


def test_a_missing_file_is_unreadable(tmp_path):
    assert reason(tmp_path / "gone.wav") == "unreadable"


def test_m4a_without_its_extra_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.m4a").write_bytes(b"content")
    assert reason(tmp_path / "a.m4a") == "needs_m4a_extra"


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [(1, 1, None), (2, 1, None), (3, 1, "wrong_channels"), (1, 2, "wrong_channels"), (2, 2, None)],
)
def test_the_channel_rule(tmp_path, write_noise, source, target, expected):
    write_noise(tmp_path / "a.wav", channels=source)
    assert reason(tmp_path / "a.wav", channels=target) == expected


def test_a_sample_rate_out_of_range(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(0.5, rate=2000), 2000)
    assert reason(tmp_path / "a.wav") == "wrong_sample_rate"


def test_a_file_that_is_too_long_is_not_decoded(tmp_path):
    with soundfile.SoundFile(tmp_path / "a.wav", "w", 4000, 1, subtype="PCM_U8") as file:
        file.write(np.full(4000 * 7201, 0.5))
    assert reason(tmp_path / "a.wav") == "too_long"


def test_every_reason_is_explained():
    for channels, samples in ((1, np.zeros((1, 8000))), (1, np.zeros((1, 10)))):
        assert screen_audio(Audio(samples=samples.astype(np.float32), sample_rate=8000), channels) in REASONS


def test_the_clipped_share_counts_plateaus_alone():
    samples = np.zeros((1, 1000), np.float32)
    samples[0, 100:110] = 1.0
    samples[0, 200:202] = -1.0
    samples[0, 300] = 1.0
    assert clipped_share(samples) == 10 / 1000


def test_sixteen_bit_audio_at_the_right_rate_comes_back_exactly(tmp_path):
    values = np.random.default_rng(0).integers(-32768, 32768, (RATE, 2), dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", values, RATE)
    np.testing.assert_array_equal(read_pcm(tmp_path / "a.wav", sample_rate=RATE, channels=2), values)


def test_stereo_is_mixed_by_the_mean_and_resampled_to_the_exact_length(tmp_path):
    rate = 44100
    left, right = sine(0.5, 300, rate=rate), sine(0.3, 700, rate=rate)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), rate)
    pcm = read_pcm(tmp_path / "a.wav", sample_rate=RATE, channels=1)
    assert pcm.shape == (screen_file(tmp_path / "a.wav", sample_rate=RATE, channels=1).num_samples, 1) == (RATE, 1)
    expected = (sine(0.5, 300) + sine(0.3, 700)) / 2
    assert np.abs(pcm[1000:-1000, 0] / 32768 - expected[1000:-1000]).max() < 1e-3
