"""A listening test on disk, written once: whoever changes it takes a copy."""

import shutil

import pytest

from listening import two_trials
from training.evaluation.listening.mushra import write_listening_test
from training.evaluation.listening.results import read_key


@pytest.fixture(scope="session")
def written_test(tmp_path_factory):
    """Return the folder of a listening test of two trials, for reading alone."""
    out = tmp_path_factory.mktemp("listening") / "test"
    write_listening_test(out, two_trials(), seed=7)
    return out


@pytest.fixture
def own_test(written_test, tmp_path):
    """Return a copy that the test may change."""
    return shutil.copytree(written_test, tmp_path / "own")


@pytest.fixture(scope="session")
def key(written_test):
    return read_key(written_test / "key.json")
