"""The model that ships: whole, small enough to ship, and worth hearing."""

from pathlib import Path

import pytest
import torch

from codec.audio import AudioLimits, read_audio
from codec.weights import load_package
from registry.shipped import DEFAULT_MODEL, shipped_package, shipped_packages
from serving.conversion import decode_container, encode_source
from training.metrics import measure

CLIPS = sorted((Path(__file__).parents[1] / "data").glob("speech_*.flac"))


def test_shipped_packages_are_small_and_have_a_card():
    assert DEFAULT_MODEL in [package.name for package in shipped_packages()]
    for package in shipped_packages():
        assert sum(path.stat().st_size for path in package.iterdir()) < 15_000_000
        card = (package / "card.md").read_text()
        assert "Licence of the weights:" in card
        assert load_package(package).package.fingerprint in card


@pytest.fixture(scope="module")
def model():
    return load_package(shipped_package(DEFAULT_MODEL))


@pytest.mark.parametrize("clip", CLIPS[:4], ids=lambda clip: clip.stem)
def test_it_codes_speech_at_6_kbps_so_that_it_is_understood(model, clip):
    original = read_audio(clip)
    encoded = encode_source(model, clip, AudioLimits(), bitrate_kbps=6)
    assert encoded.measured_kbps < 6.3  # of short clips, header included
    decoded = decode_container(model, encoded.data, AudioLimits())
    assert decoded.samples.shape == original.samples.shape
    samples = (torch.from_numpy(audio.samples[:1]) for audio in (decoded, original))
    scores = measure(*samples, original.sample_rate).scores
    assert scores["stoi"] > 0.85, scores
    assert scores["mel_distance"] < 2, scores
