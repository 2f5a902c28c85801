"""Drift is seen in real speech that was spoiled in one way each, and not in other speech."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import butter, sosfilt

from codec.errors import DataError
from training.retraining.drift import check_drift
from training.retraining.settings import Limits
from training.retraining.survey import survey

CLIPS = sorted((Path(__file__).parents[2] / "data").glob("speech_*.flac"))
RATE = 16_000


@pytest.fixture(scope="module")
def reference():
    return survey(CLIPS[::2], RATE)


def failed(new, reference, rejected_share=0.0, **limits):
    return [check.name for check in check_drift(new, reference, rejected_share, Limits(**limits)) if not check.passed]


@pytest.fixture
def spoiled(tmp_path):
    """Write the other clips after a change, and survey them."""

    def spoil(change, rate=RATE):
        for path in CLIPS[1::2]:
            samples, own = soundfile.read(path)
            soundfile.write(tmp_path / path.name, change(samples), rate if rate != RATE else own)
        return survey(sorted(tmp_path.glob("*.flac")), RATE)

    return spoil


def test_other_voices_pass(reference):
    assert failed(survey(CLIPS[1::2], RATE), reference) == []


def test_a_quiet_recorder_is_seen(reference, spoiled):
    assert failed(spoiled(lambda x: x / 30), reference) == ["level"]


def test_a_narrow_band_is_seen(reference, spoiled):
    narrow = butter(10, 3400, fs=RATE, output="sos")
    assert "bandwidth" in failed(spoiled(lambda x: sosfilt(narrow, x)), reference)


def test_pauses_are_seen(reference, spoiled):
    found = failed(spoiled(lambda x: np.concatenate([x, np.zeros(20 * len(x))])), reference, max_silence_change=0.3)
    assert found == ["share of silence"]


def test_noise_is_seen(reference, spoiled):
    noise = np.random.default_rng(0)
    found = failed(spoiled(lambda x: 0.1 * noise.standard_normal(len(x))), reference)
    assert "distance of long-term spectra" in found


def test_low_sample_rates_are_seen(reference, spoiled):
    assert "share of files below the codec's sample rate" in failed(spoiled(lambda x: x[::2], rate=8000), reference)


def test_unusable_files_are_seen_and_limits_can_be_off(reference):
    new = survey(CLIPS[1::2], RATE)
    assert failed(new, reference, 0.6) == ["share of unusable files"]
    assert failed(new, reference, 0.6, max_rejected_share=None) == []


def test_level_does_not_move_the_spectrum(reference, spoiled):
    quiet = spoiled(lambda x: x / 4)
    assert quiet.spectrum_db == pytest.approx(survey(CLIPS[1::2], RATE).spectrum_db, abs=0.7)


def test_silence_alone_can_not_be_measured(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    with pytest.raises(DataError, match="none of 1 files"):
        survey([tmp_path / "silence.wav"], RATE)
