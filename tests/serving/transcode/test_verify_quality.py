"""What verification measures: exact over blocks of any length, over windows, and silent where there is nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.transcode.verify.quality import WINDOW_SECONDS, measure
from serving.transcode.verify.si_sdr import SiSdr

RATE = 8_000


def noise(num_samples, channels=1, seed=0, scale=0.1):
    return (scale * np.random.default_rng(seed).standard_normal((channels, num_samples))).astype(np.float32)


def whole_si_sdr(original, decoded):
    """The definition, on everything at once."""
    target, estimate = (
        (signal - signal.mean(axis=1, keepdims=True)).ravel() for signal in (np.float64(original), np.float64(decoded))
    )
    projection = (estimate @ target) / (target @ target) * target
    return 10 * np.log10((projection @ projection) / ((estimate - projection) @ (estimate - projection)))


def split(signal, places):
    return iter(np.split(signal, sorted(places), axis=1))


def measured(original, decoded, **changes):
    facts = {"sample_rate": RATE, "channels": len(original), "num_samples": original.shape[1], "with_visqol": False}
    return measure(iter([original]), iter([decoded]), **facts | changes)


@given(
    places=st.lists(st.integers(0, 3_000), max_size=5),
    channels=st.integers(1, 3),
    scale=st.sampled_from([1e-4, 0.01, 1.0, 10.0]),
    offset=st.sampled_from([0.0, 0.3]),
)
def test_si_sdr_is_exact_however_the_audio_is_cut(places, channels, scale, offset):
    original = noise(3_000, channels, seed=1) + np.float32(offset)
    decoded = np.float32(0.7) * original + noise(3_000, channels, seed=2, scale=scale)
    ratio = SiSdr(channels)
    for block, got in zip(split(original, places), split(decoded, places), strict=True):
        ratio.add(block, got)
    assert ratio.decibels() == pytest.approx(whole_si_sdr(original, decoded), abs=1e-6)


def test_si_sdr_at_its_ends():
    original, silence = noise(1_000), np.zeros((1, 1_000), np.float32)
    for wanted, got, expected in [
        (original, original, 100.0),
        (original, silence, -100.0),
        (silence, original, None),
        (original, 0.5 * original, pytest.approx(100.0, abs=60)),
    ]:
        ratio = SiSdr(1)
        ratio.add(wanted, got)
        assert ratio.decibels() == expected


def test_the_worst_window_is_found_and_the_whole_is_measured():
    length = round(3 * WINDOW_SECONDS * RATE)
    original = noise(length, 2)
    decoded = original + noise(length, 2, seed=1, scale=0.001)
    third = length // 3
    decoded[:, third : 2 * third] += noise(third, 2, seed=2, scale=0.05)
    quality = measured(original, decoded)
    assert quality.window_samples == third
    assert quality.si_sdr_db.value == pytest.approx(whole_si_sdr(original, decoded), abs=1e-6)
    assert quality.si_sdr_db.worst_window == 1
    bad = whole_si_sdr(original[:, third : 2 * third], decoded[:, third : 2 * third])
    assert quality.si_sdr_db.worst == pytest.approx(bad, abs=1e-6)


def test_a_quiet_window_is_not_the_worst_one():
    length = round(2 * WINDOW_SECONDS * RATE)
    original = noise(length)
    original[:, : length // 2] *= 1e-4
    decoded = original + noise(length, seed=1, scale=0.001)
    assert measured(original, decoded).si_sdr_db.worst_window == 1


def test_windows_are_equal_and_bounded():
    for seconds in (0.3, 10.0, 10.1, 25.0):
        length = round(seconds * RATE)
        quality = measured(noise(length), noise(length))
        assert quality.window_samples <= WINDOW_SECONDS * RATE
        windows = -(-length // quality.window_samples)
        assert windows * quality.window_samples - length < windows
    many = measured(noise(16, 8), noise(16, 8), sample_rate=384_000, num_samples=384_000 * 3600)
    assert many.window_samples * 8 <= 1 << 23


@given(st.integers(0, 400), st.integers(1, 400), st.lists(st.integers(0, 400), max_size=4))
def test_both_lengths_are_counted_to_the_sample(first, second, places):
    original, decoded = noise(first), noise(second)
    facts = {"sample_rate": RATE, "channels": 1, "num_samples": second, "with_visqol": False}
    quality = measure(split(original, places), split(decoded, places[:2]), **facts)
    assert (quality.original_samples, quality.decoded_samples) == (first, second)


def test_silence_has_no_value():
    silence = np.zeros((1, 4_000), np.float32)
    quality = measured(silence, silence)
    assert quality.si_sdr_db is None
    assert quality.undefined == {"si_sdr_db": "it is silent"}


def test_visqol_hears_what_was_done_to_the_audio():
    pytest.importorskip("visqol")
    length = 2 * RATE
    speech = noise(length, 1) * np.sin(np.arange(length) / 700).astype(np.float32)
    good = measured(speech, speech + noise(length, seed=1, scale=1e-4), with_visqol=True)
    bad = measured(speech, speech + noise(length, seed=1, scale=0.1), with_visqol=True)
    assert good.visqol.value > bad.visqol.value
    assert measured(speech, np.zeros_like(speech), with_visqol=True).visqol.value == 1.0
    short = measured(speech[:, :1_000], speech[:, :1_000], with_visqol=True)
    assert short.visqol is None
    assert "too short" in short.undefined["visqol"]
