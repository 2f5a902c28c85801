import os

import pytest

from codec.errors import DataError
from data_pipelines.sources import scan_sources


def names(*sources):
    return [file.name for file in scan_sources(sources)]


def test_files_are_sorted_by_their_path_below_the_source(tmp_path):
    for name in ("b/2.flac", "a/1.WAV", "z.mp3", "notes.txt", ".hidden.wav", ".git/x.wav", "b/._2.flac"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert names(tmp_path) == ["a/1.WAV", "b/2.flac", "z.mp3"]


def test_several_sources_in_any_order_and_twice(tmp_path):
    for name in ("one/a.wav", "two/b.wav", "single.opus"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    one, two, single = tmp_path / "one", tmp_path / "two", tmp_path / "single.opus"
    assert names(two, one, single, one) == names(one, two, single) == ["a.wav", "b.wav", "single.opus"]


def test_links_to_files_are_followed_and_circles_are_not(tmp_path):
    (tmp_path / "elsewhere.wav").touch()
    source = tmp_path / "source"
    source.mkdir()
    (source / "linked.wav").symlink_to(tmp_path / "elsewhere.wav")
    (source / "broken.wav").symlink_to(tmp_path / "nowhere.wav")
    (source / "circle").symlink_to(source)
    os.mkfifo(source / "pipe.wav")
    assert names(source) == ["linked.wav"]


@pytest.mark.parametrize(("name", "message"), [("missing", "does not exist"), ("empty", "holds no audio file")])
def test_a_missing_or_empty_source_is_an_error(tmp_path, name, message):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        scan_sources([tmp_path / name])


def test_a_file_that_is_no_audio_is_an_error(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match="not an audio file"):
        scan_sources([tmp_path / "notes.txt"])
