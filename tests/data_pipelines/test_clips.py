"""The real clips that ship with the tests: present, small, decodable, and each with its source and licence."""

from pathlib import Path

import pytest

from codec.audio import read_audio

FOLDER = Path(__file__).parents[1] / "data"
CLIPS = sorted(FOLDER.glob("*.flac"))
NOTICES = FOLDER.parents[1] / "THIRD_PARTY_NOTICES.md"


@pytest.fixture(scope="module")
def table():
    """The README's rows, by file: a list of cells each."""
    lines = (FOLDER / "README.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {cells[0]: cells for cells in rows[1:]}


def test_there_are_enough_and_they_are_small():
    assert len(CLIPS) >= 12
    assert sum(path.stat().st_size for path in CLIPS) < 4_000_000


def test_every_clip_is_listed_and_every_listed_clip_is_there(table):
    assert sorted(table) == [path.name for path in CLIPS]


@pytest.mark.parametrize("path", CLIPS, ids=lambda path: path.stem)
def test_a_clip_is_what_the_table_says(path, table):
    _, seconds, sample_rate, channels, kind, language, package, _, author, licence, _ = table[path.name]
    audio = read_audio(path)
    assert (audio.sample_rate, audio.channels) == (int(sample_rate), int(channels))
    assert audio.seconds == pytest.approx(float(seconds), abs=0.006)
    assert 0.02 < abs(audio.samples).max() <= 1.0
    assert path.name.startswith(f"{kind}_")
    if kind == "speech":
        assert (sample_rate, channels) == ("16000", "1")
        assert 4.0 <= audio.seconds <= 10.0
        assert f"_{language}_" in path.name
    notices = NOTICES.read_text()
    assert package in notices
    assert licence in notices
    assert author


def test_speech_is_in_several_languages_and_long_enough_for_the_demo(table):
    speech = [cells for cells in table.values() if cells[4] == "speech"]
    assert len({cells[5] for cells in speech}) >= 4
    assert sum(float(cells[1]) for cells in speech) >= 80


def test_music_and_sound_are_there(table):
    kinds = [cells[4] for cells in table.values()]
    assert kinds.count("music") >= 3
    assert kinds.count("sound") >= 1
    assert any(cells[4] == "music" and cells[3] == "2" and cells[2] == "44100" for cells in table.values())
