import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.bitpack import pack, packed_size, unpack
from codec.errors import BitstreamError


@given(st.integers(1, 16).flatmap(lambda b: st.tuples(st.just(b), st.lists(st.integers(0, 2**b - 1), max_size=200))))
def test_round_trip(case):
    bits, values = case
    data = pack(np.array(values, np.int64), bits)
    assert len(data) == packed_size(len(values), bits)
    assert unpack(data, len(values), bits).tolist() == values


def test_first_value_takes_the_highest_bits():
    assert pack(np.array([0b101, 0b001]), 3) == bytes([0b10100100])


@pytest.mark.parametrize("data", [b"", b"\x00\x00", b"\x01"])
def test_wrong_size_or_filling_is_refused(data):
    with pytest.raises(BitstreamError):
        unpack(data, 1, 7)
