"""Damage is found per block, and what is undamaged is recovered."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.container import Header, recover_container, scan_container, write_container
from codec.container.footer import Footer, write_footer
from codec.container.header import parse_header
from codec.errors import BitstreamError

HEADER = Header(
    codec_name="tiny",
    fingerprint=bytes(range(8)),
    sample_rate=16_000,
    num_samples=320 * 50 * 20 - 17,
    source_sample_rate=16_000,
    source_num_samples=320 * 50 * 20 - 17,
    channels=1,
    num_streams=1,
    num_quantizers=3,
    codebook_size=1024,
    hop_length=320,
    frames_per_block=50,
)
CODES = np.random.default_rng(0).integers(0, 1024, (1, 3, HEADER.num_frames))
DATA = write_container(HEADER, CODES)
BLOCK = 11 + HEADER.packed_bytes(50)


def start_of(index):
    return 44 + index * BLOCK


def times(report):
    return [(bad.first, bad.end, bad.start_s, round(bad.end_s, 2)) for bad in report.bad]


def test_a_whole_container_is_whole():
    report = scan_container(DATA)
    assert report.whole
    assert (report.header, report.num_whole) == (HEADER, 20)
    recovered = recover_container(DATA)
    assert not recovered.missing.any()
    np.testing.assert_array_equal(recovered.codes, CODES)


@pytest.mark.parametrize("offset", [0, 2, 4, 5, 6, 8, 20])
def test_a_damaged_block_is_concealed_by_the_frame_before(offset):
    data = bytearray(DATA)
    data[start_of(4) + offset] ^= 0xFF
    recovered = recover_container(bytes(data))
    assert times(recovered.report) == [(4, 5, 4.0, 5.0)]
    assert str(recovered.report.bad[0]) == "block 4 (4.00 to 5.00 s)"
    assert np.flatnonzero(recovered.missing).tolist() == list(range(200, 250))
    assert (recovered.codes[..., 200:250] == CODES[..., 199:200]).all()
    np.testing.assert_array_equal(recovered.codes[..., ~recovered.missing], CODES[..., ~recovered.missing])


def test_the_first_block_is_concealed_by_the_frame_after():
    data = DATA[: start_of(0)] + DATA[start_of(1) :]
    recovered = recover_container(data)
    assert times(recovered.report) == [(0, 1, 0.0, 1.0)]
    assert (recovered.codes[..., :50] == CODES[..., 50:51]).all()


def test_a_stretch_taken_out_or_overwritten_is_named():
    for between in (b"", b"\xa5N" * 600):
        report = scan_container(DATA[: start_of(3) + 5] + between + DATA[start_of(9) + 7 :])
        assert times(report) == [(3, 10, 3.0, 10.0)]
        assert str(report.bad[0]) == "blocks 3 to 9 (3.00 to 10.00 s)"


def test_a_cut_container_keeps_what_is_there():
    recovered = recover_container(DATA[: start_of(7) + 20])
    report = recovered.report
    assert times(report) == [(7, 8, 7.0, 8.0)]
    assert "cut short" in report.faults[0]
    assert recovered.header == dataclasses.replace(HEADER, num_samples=112_000, source_num_samples=112_000)
    np.testing.assert_array_equal(recovered.codes, CODES[..., :350])


def test_a_damaged_footer_costs_only_the_exact_length():
    for data in (DATA[:-1], DATA[:-20] + bytes([DATA[-20] ^ 1]) + DATA[-19:]):
        recovered = recover_container(data)
        assert not recovered.report.bad
        assert not recovered.report.whole
        np.testing.assert_array_equal(recovered.codes, CODES)


def test_lost_totals_of_a_source_at_a_far_lower_rate():
    header = dataclasses.replace(HEADER, num_samples=320 * 970, source_sample_rate=3, source_num_samples=59)
    recovered = recover_container(write_container(header, CODES[..., :970])[:-1])
    assert recovered.header.source_num_samples == 58
    np.testing.assert_array_equal(recovered.codes, CODES[..., : recovered.header.num_frames])


def test_bytes_that_do_not_belong_are_named():
    assert scan_container(DATA + b"xyz").faults == ("3 bytes follow that don't belong to it",)
    stray = DATA[: start_of(2)] + b"xyz" + DATA[start_of(2) :]
    assert scan_container(stray).faults == ("3 bytes between the blocks belong to none",)
    np.testing.assert_array_equal(recover_container(stray).codes, CODES)


def test_nothing_is_recovered_without_a_header_or_a_block():
    with pytest.raises(BitstreamError, match="checksum"):
        scan_container(DATA[:20] + b"!" + DATA[21:])
    with pytest.raises(BitstreamError, match="no block"):
        recover_container(DATA[: start_of(1) - 1])


def test_too_much_made_up_is_refused():
    short = dataclasses.replace(HEADER, num_samples=320 * 50, source_num_samples=320 * 50)
    whole = write_container(short, CODES[..., :50])
    num_samples = 320 * 50 * 30_000
    footer = Footer(num_samples, num_samples, tuple(range(29_999 // 16)))
    forged = whole[:-26] + write_footer(parse_header(whole[:104]), footer)
    assert times(scan_container(forged)) == [(1, 30_000, 1.0, 30_000.0)]
    with pytest.raises(BitstreamError, match="only 1 are whole"):
        recover_container(forged)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(44, len(DATA) - 1), st.integers(1, 255)), min_size=1, max_size=8))
def test_what_is_recovered_is_true(flips):
    data = bytearray(DATA)
    for position, mask in flips:
        data[position] ^= mask
    hit = {(position - 44) // BLOCK for position, _ in flips if data[position] != DATA[position]}
    recovered = recover_container(bytes(data))
    kept = ~recovered.missing
    frames = recovered.codes.shape[2]
    np.testing.assert_array_equal(recovered.codes[..., kept], CODES[..., :frames][..., kept])
    for index in set(range(frames // 50)) - hit:
        assert kept[index * 50 : index * 50 + 50].all()


@settings(max_examples=300)
@given(st.binary(max_size=300), st.integers(0, len(DATA)), st.integers(0, len(DATA)))
def test_noise_anywhere_raises_only_our_error(noise, keep, resume):
    try:
        recovered = recover_container(DATA[:keep] + noise + DATA[resume:])
    except BitstreamError:
        return
    assert recovered.codes.shape[2] == len(recovered.missing)
