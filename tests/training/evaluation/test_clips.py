import numpy as np
import pytest
import soundfile

from codec.errors import DataError
from training.evaluation.clips import find_clips


@pytest.fixture
def folder(tmp_path):
    def put(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * np.ones((1600, 2)), 16_000)
        return tmp_path

    return put


def test_names_tell_kind_and_language(folder):
    clips = find_clips(
        folder("speech_en_anna.wav", "music/03_zz_song.flac", "sfx/rain.wav", "other.wav", "speech/x.wav")
    )
    found = {file.clip.name: (file.clip.kind, file.clip.language) for file in clips}
    assert found == {
        "speech_en_anna.wav": ("speech", "en"),
        "music/03_zz_song.flac": ("music", ""),
        "sfx/rain.wav": ("sound", ""),
        "other.wav": ("unknown", ""),
        "speech/x.wav": ("speech", ""),
    }
    assert clips[0].clip.name < clips[-1].clip.name
    assert (clips[0].clip.seconds, clips[0].clip.sample_rate, clips[0].clip.channels) == (0.1, 16_000, 2)


def test_a_manifest_says_more_and_counts_first(folder):
    path = folder("speech/a.wav", "speech/b.wav")
    (path / "manifest.csv").write_text("file,licence,kind,lang\nspeech/a.wav,CC0,music,-\n")
    assert [(file.clip.kind, file.clip.language) for file in find_clips(path)] == [("music", ""), ("speech", "")]


def test_a_manifest_without_kinds_is_refused(folder):
    path = folder("a.wav")
    (path / "manifest.csv").write_text("path,lang\na.wav,en\n")
    with pytest.raises(DataError, match="lacks a column"):
        find_clips(path)


def test_without_audio_there_is_nothing_to_evaluate(tmp_path):
    with pytest.raises(DataError, match="no audio file"):
        find_clips(tmp_path)
