"""What a listening test is on disk: a page, signals whose names tell nothing, and anchors."""

import dataclasses
import json

import numpy as np
import pytest
import soundfile

from codec.audio import Audio
from codec.errors import AudioError, DataError, LimitError
from listening import RATE, SYSTEMS, noise, trial, two_trials
from training.evaluation.listening.mushra import LOW_ANCHOR, MID_ANCHOR, REFERENCE, low_pass, write_listening_test
from training.evaluation.listening.results import read_key


def test_the_folder_holds_a_page_a_key_and_every_signal_in_16_bits(written_test, key):
    assert {path.name for path in written_test.iterdir()} == {"index.html", "key.json", "audio"}
    assert [each.name for each in key.trials] == ["Glockenspiel", "Castanets"]
    expected = set()
    for each in key.trials:
        assert set(each.signals.values()) == {REFERENCE, LOW_ANCHOR, MID_ANCHOR, *SYSTEMS}
        expected |= {each.reference, *each.signals}
    assert len(expected) == 12
    audio = written_test / "audio"
    assert {path.name for path in audio.iterdir()} == {name + end for name in expected for end in (".wav", ".js")}
    assert {soundfile.info(path).subtype for path in audio.glob("*.wav")} == {"PCM_16"}


def test_signals_keep_their_level_and_samples(written_test, key):
    of_first = {system: id for id, system in key.trials[0].signals.items()}
    for id, audio in (
        (of_first[REFERENCE], noise(0)),
        (key.trials[0].reference, noise(0)),
        (of_first[SYSTEMS[1]], noise(2)),
    ):
        samples, rate = soundfile.read(written_test / "audio" / f"{id}.wav", dtype="float32", always_2d=True)
        assert rate == RATE
        np.testing.assert_allclose(samples.T, audio.samples, atol=1 / 32768)


def test_what_would_clip_is_lowered_along_with_all_of_its_trial(tmp_path):
    loud = dataclasses.replace(trial(), reconstructions={"loud": noise(3, level=0.5), "soft": noise(4)})
    write_listening_test(tmp_path / "test", [loud], seed=1)
    key = read_key(tmp_path / "test" / "key.json").trials[0]
    peak = np.abs(noise(3, level=0.5).samples).max()
    assert peak > 1 and key.gain_db == pytest.approx(-20 * np.log10(peak), abs=0.011)
    id = next(id for id, system in key.signals.items() if system == "soft")
    samples, _ = soundfile.read(tmp_path / "test" / "audio" / f"{id}.wav", dtype="float32", always_2d=True)
    np.testing.assert_allclose(samples.T, noise(4).samples * 10 ** (key.gain_db / 20), atol=1 / 32768)


def test_only_the_key_names_systems_and_trials(written_test):
    names = [*SYSTEMS, "Rival", "Glockenspiel", "Castanets", LOW_ANCHOR, MID_ANCHOR]
    for path in written_test.rglob("*"):
        if path.is_file() and path.name != "key.json":
            text = str(path.relative_to(written_test)).encode() + path.read_bytes()
            assert not [name for name in names if name.encode() in text], path.name
    key = json.loads((written_test / "key.json").read_text())
    assert set(key["trials"][0]["signals"].values()) >= set(SYSTEMS)
    # The order of ids says nothing either.
    assert all(list(each["signals"]) == sorted(each["signals"]) for each in key["trials"])


def test_the_page_needs_nothing_from_elsewhere(written_test):
    page = (written_test / "index.html").read_text()
    assert "{{" not in page
    assert "://" not in page.replace("file://", "")
    assert "<script src" not in page and 'rel="stylesheet"' not in page


def test_names_of_files_come_from_the_seed(tmp_path):
    for name, seed in (("first", 1), ("same", 1), ("other", 2)):
        write_listening_test(tmp_path / name, [trial()], seed=seed)
    files = {out.name: {path.name: path.read_bytes() for path in out.rglob("*.*")} for out in tmp_path.iterdir()}
    assert files["first"] == files["same"]
    assert not {name for name in files["first"] if name.endswith(".wav")} & files["other"].keys()


def test_an_interrupted_writing_can_be_repeated(own_test):
    (own_test / "index.html").unlink()
    write_listening_test(own_test, two_trials(), seed=7)
    assert (own_test / "index.html").is_file()


def test_a_folder_with_something_else_is_refused(tmp_path, own_test):
    with pytest.raises(DataError, match="already holds something else"):
        write_listening_test(own_test, [trial(seed=99)], seed=7)
    (own_test / "notes.txt").touch()
    with pytest.raises(DataError, match="already holds something else"):
        write_listening_test(own_test, two_trials(), seed=7)
    with pytest.raises(DataError, match="is no folder"):
        write_listening_test(own_test / "notes.txt", [trial()], seed=7)


@pytest.mark.parametrize(
    ("trials", "error", "message"),
    [
        ([], DataError, "at least one trial"),
        ([trial(), trial()], DataError, "two trials are named 'Glockenspiel'"),
        ([trial(systems=())], DataError, "has no system to rate"),
        ([trial(systems=[f"s{n}" for n in range(10)])], LimitError, "12 signals"),
        ([trial(systems=[REFERENCE])], DataError, "which the test adds itself"),
        ([trial(systems=["a\nb"])], DataError, "printable"),
        ([trial(seconds=30.1, rate=16_000)], LimitError, "at most 30 s"),
        ([trial(seconds=0.1)], AudioError, "at least 0.5 s"),
        ([trial(rate=8_000)], AudioError, "at least 16000 Hz"),
        ([trial(channels=3)], AudioError, "1 or 2"),
        ([dataclasses.replace(trial(), reconstructions={"s": noise(1, seconds=1.1)})], AudioError, "align them"),
        ([dataclasses.replace(trial(), reconstructions={"s": noise(1, level=np.inf)})], AudioError, "not finite"),
    ],
)
def test_what_can_be_no_test_is_refused_in_a_sentence(tmp_path, trials, error, message):
    with pytest.raises(error, match=message) as caught:
        write_listening_test(tmp_path / "test", trials, seed=0)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "test").exists()


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
@pytest.mark.parametrize(("system", "pass_hz", "down_hz"), [(LOW_ANCHOR, 3_500, 4_200), (MID_ANCHOR, 7_000, 8_000)])
def test_anchors_pass_what_they_should_and_nothing_above(tmp_path, system, pass_hz, down_hz, rate):
    write_listening_test(tmp_path / "test", [trial(rate=rate, seconds=2.0)], seed=0)
    ids = {name: id for id, name in read_key(tmp_path / "test" / "key.json").trials[0].signals.items()}
    spectra = {}
    for name in (REFERENCE, system):
        samples, _ = soundfile.read(tmp_path / "test" / "audio" / f"{ids[name]}.wav")
        spectra[name] = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / rate)

    def gain_db(inside):
        return 10 * np.log10(spectra[system][inside].sum() / spectra[REFERENCE][inside].sum())

    assert gain_db(hz < pass_hz) == pytest.approx(0, abs=0.1)
    if rate > 2 * down_hz:
        assert gain_db(hz > down_hz) < -40


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("edges", [(3_500, 4_000), (7_000, 8_000)])
def test_anchors_are_aligned_to_the_sample(rate, edges):
    samples = np.zeros((2, rate), np.float32)
    samples[:, 5_000] = 1
    impulse = low_pass(Audio(samples=samples, sample_rate=rate), *edges).samples
    assert impulse.shape == samples.shape
    assert (impulse.argmax(axis=1) == 5_000).all()
    np.testing.assert_allclose(impulse[:, 4_000:5_000], impulse[:, 6_000:5_000:-1], atol=1e-7)
