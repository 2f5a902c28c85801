import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.splits import SPLITS, split_of

hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(hashes, st.floats(0, 49), st.floats(0, 49))
def test_a_split_is_one_of_three_and_empty_shares_are_empty(sha256, val, test):
    split = split_of(sha256, val_percent=val, test_percent=test)
    assert split in SPLITS
    assert split != "val" or val > 0
    assert split != "test" or test > 0


@given(hashes, st.floats(0, 40), st.floats(0, 9))
def test_a_larger_validation_share_keeps_its_files(sha256, val, more):
    if split_of(sha256, val_percent=val, test_percent=0) == "val":
        assert split_of(sha256, val_percent=val + more, test_percent=0) == "val"


def test_shares_are_as_asked():
    hashes = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(4000)]
    splits = [split_of(sha256, val_percent=20, test_percent=10) for sha256 in hashes]
    assert splits.count("val") / 4000 == pytest.approx(0.2, abs=0.03)
    assert splits.count("test") / 4000 == pytest.approx(0.1, abs=0.03)
