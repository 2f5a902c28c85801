import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.container import Header, read_container, read_header, write_container
from codec.errors import BitstreamError


def make_header(**changes):
    fields = {
        "codec_name": "tiny",
        "fingerprint": bytes(range(8)),
        "sample_rate": 16_000,
        "num_samples": 48_001,
        "source_sample_rate": 16_000,
        "source_num_samples": 48_001,
        "channels": 1,
        "num_streams": 1,
        "num_quantizers": 12,
        "codebook_size": 1024,
        "hop_length": 320,
        "frames_per_block": 50,
    }
    return Header(**{**fields, **changes})


def random_codes(header, seed=0):
    shape = (header.num_streams, header.num_quantizers, header.num_frames)
    return np.random.default_rng(seed).integers(0, header.codebook_size, shape)


headers = st.builds(
    make_header,
    codec_name=st.text(min_size=1, max_size=16),
    num_samples=st.integers(1, 20_000),
    channels=st.just(2),
    num_streams=st.sampled_from([1, 2]),
    num_quantizers=st.integers(1, 32),
    codebook_size=st.integers(2, 65_536),
    hop_length=st.integers(50, 1000),
    frames_per_block=st.integers(1, 100),
)


@given(headers, st.integers(0, 2**32))
def test_round_trip_for_any_codes(header, seed):
    codes = random_codes(header, seed)
    container = read_container(write_container(header, codes))
    assert container.header == header
    np.testing.assert_array_equal(container.codes, codes)


HEADER = make_header()
CODES = random_codes(HEADER)
DATA = write_container(HEADER, CODES)


def test_header_alone_is_read_from_a_prefix():
    assert read_header(DATA[:128]) == HEADER


def test_overhead_is_small():
    assert len(DATA) - CODES.size * 10 / 8 < 60 + 13 * HEADER.num_blocks


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_any_flipped_byte_is_detected(position, mask):
    damaged = bytearray(DATA)
    damaged[position] ^= mask
    with pytest.raises(BitstreamError):
        read_container(bytes(damaged))


@given(st.integers(0, len(DATA) - 1))
def test_any_cut_is_detected(length):
    with pytest.raises(BitstreamError):
        read_container(DATA[:length])


def test_damage_names_its_block_and_time():
    damaged = bytearray(DATA)
    damaged[-1] ^= 1
    with pytest.raises(BitstreamError, match=r"block 3 \(3\.00 to 3\.02 s\)"):
        read_container(bytes(damaged))


def test_swapped_blocks_are_detected():
    size = 12 + HEADER.block_payload_bytes(0)
    start = len(DATA) - (HEADER.num_blocks - 1) * size - 12 - HEADER.block_payload_bytes(HEADER.num_blocks - 1)
    swapped = (
        DATA[:start] + DATA[start + size : start + 2 * size] + DATA[start : start + size] + DATA[start + 2 * size :]
    )
    assert len(swapped) == len(DATA)
    with pytest.raises(BitstreamError, match="block 0"):
        read_container(swapped)


def test_trailing_bytes_are_refused():
    with pytest.raises(BitstreamError, match="followed by 1 bytes"):
        read_container(DATA + b"\x00")


@pytest.mark.parametrize("data", [b"", b"RIFF" + bytes(100), b"\x89NAC", b"\x89NAC\x02" + bytes(100)])
def test_what_is_no_container_is_refused(data):
    with pytest.raises(BitstreamError):
        read_container(data)


def test_a_huge_claim_costs_nothing():
    claim = dataclasses.replace(HEADER, num_samples=2**62, source_num_samples=2**62)
    short = write_container(HEADER, CODES)
    import codec.container as module

    lie = module._write_header(claim) + short[100:]
    tracemalloc.start()
    with pytest.raises(BitstreamError, match="cut short"):
        read_container(lie)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@settings(max_examples=500)
@given(st.binary(max_size=300), st.integers(0, len(DATA)))
def test_arbitrary_bytes_raise_only_our_error(noise, keep):
    for data in (noise, DATA[:keep] + noise):
        try:
            read_container(data)
        except BitstreamError:
            continue
        assert data == DATA


def test_codes_must_fit_the_header():
    with pytest.raises(ValueError, match="shape"):
        write_container(HEADER, CODES[..., 1:])
    with pytest.raises(ValueError, match="from 0 to 1023"):
        write_container(HEADER, CODES + 1024)
