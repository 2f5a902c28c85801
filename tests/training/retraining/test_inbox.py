import os
import time

import numpy as np
import pytest
import soundfile

from codec.errors import DataError
from training.retraining.fresh import choose_fresh
from training.retraining.inbox import Inbox, oldest_days, total_hours
from training.retraining.settings import Fresh


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    for seed in range(4):
        write(folder / f"{seed}.wav", seed)
    return folder


@pytest.fixture
def inbox(folder, tmp_path):
    return Inbox(folder, tmp_path / "memory.json")


def write(path, seed, seconds=1.0):
    noise = 0.1 * np.random.default_rng(seed).standard_normal(int(16_000 * seconds))
    soundfile.write(path, noise, 16_000)


def names(files):
    return [file.name for file in files]


def test_each_content_is_new_once_whatever_its_name(inbox, folder):
    (folder / "copy.wav").write_bytes((folder / "0.wav").read_bytes())
    files = inbox.new_files(set())
    assert names(files) == ["0.wav", "1.wav", "2.wav", "3.wav"]
    assert total_hours(files) == pytest.approx(4 / 3600)
    (folder / "1.wav").rename(folder / "moved.wav")
    assert names(inbox.new_files({file.sha256 for file in files[:2]})) == ["2.wav", "3.wav"]


def test_a_file_that_changed_is_new_again(inbox, folder):
    taken = {file.sha256 for file in inbox.new_files(set())}
    write(folder / "2.wav", seed=9)
    os.utime(folder / "2.wav", ns=(1, 1))
    assert names(inbox.new_files(taken)) == ["2.wav"]


def test_files_that_are_still_written_to_wait(inbox, folder):
    hour_ago = time.time() - 3600
    os.utime(folder / "3.wav", (hour_ago, hour_ago))
    assert names(inbox.new_files(set(), settled_for_s=60)) == ["3.wav"]
    assert oldest_days(inbox.new_files(set())) == pytest.approx(1 / 24, abs=0.01)


def test_what_is_no_audio_counts_no_hours(inbox, folder):
    (folder / "broken.flac").write_bytes(b"fLaC and nothing more")
    assert total_hours(inbox.new_files(set())) == pytest.approx(4 / 3600)


def test_an_empty_inbox_has_nothing_and_a_missing_one_is_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    assert Inbox(tmp_path / "empty", tmp_path / "memory.json").new_files(set()) == []
    with pytest.raises(DataError, match="there is no inbox"):
        Inbox(tmp_path / "none", tmp_path / "memory.json").new_files(set())


def test_a_damaged_memory_costs_only_time(inbox, tmp_path):
    before = inbox.new_files(set())
    (tmp_path / "memory.json").write_text("{")
    assert inbox.new_files(set()) == before


def test_fresh_clips_are_a_share_by_content_and_never_all(inbox):
    files = inbox.new_files(set())
    assert choose_fresh(files, Fresh(percent=0.0)) == []
    assert len(choose_fresh(files, Fresh(percent=99.999))) == 3
    assert len(choose_fresh(files, Fresh(percent=99.999, max_clips=2))) == 2
    half = Fresh(percent=50.0)
    assert set(choose_fresh(files, half)) == set(choose_fresh(files[::-1], half))
    assert choose_fresh(files[:1], Fresh(percent=99.999)) == []
