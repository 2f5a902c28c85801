"""Containers whose blocks are overlapping segments: what differs from blocks that lie end to end."""

import contextlib
import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.container import (
    ContainerReader,
    ContainerStream,
    ContainerWriter,
    Header,
    read_container,
    read_header,
    recover_container,
    scan_container,
    write_container,
)
from codec.container.block import Block, write_blocks
from codec.container.footer import Footer, write_footer
from codec.container.header import parse_header, write_header
from codec.errors import BitstreamError

HOP, FRAMES, OVERLAP = 10, 8, 25
STRIDE = HOP * FRAMES - OVERLAP


def make_header(num_samples, **changes):
    fields = {
        "codec_name": "tiny",
        "fingerprint": bytes(range(8)),
        "sample_rate": 1_000,
        "num_samples": num_samples,
        "source_sample_rate": 1_000,
        "source_num_samples": num_samples,
        "channels": 4,
        "num_streams": 2,
        "num_quantizers": 3,
        "codebook_size": 1024,
        "hop_length": HOP,
        "frames_per_block": FRAMES,
        "overlap": OVERLAP,
    }
    return Header(**{**fields, **changes})


def make(header, seed=0):
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, header.codebook_size, (header.num_streams, header.num_quantizers, header.num_frames))
    scales = generator.exponential(0.1, (header.num_streams, header.num_blocks)).astype(np.float32)
    return codes, scales, write_container(header, codes, scales)


HEADER = make_header(20 * STRIDE + 7)
CODES, SCALES, DATA = make(HEADER)
START = 40 + 4 + 4
BLOCK = 11 + 8 + HEADER.packed_bytes(FRAMES)


def forge(header, frames):
    """Return a container of blocks with so many frames each, whatever the totals say; its checksums hold."""
    head = write_header(header)
    opening = parse_header(head)
    blocks = [Block(np.zeros((2, 3, count), np.int64), np.ones((2, 1), np.float32)) for count in frames]
    body = b"".join(write_blocks(opening, blocks, 0))
    return head + body + write_footer(opening, Footer(header.num_samples, header.source_num_samples, ()))


def test_a_header_is_four_bytes_longer_and_each_block_holds_its_scales():
    plain = write_header(dataclasses.replace(HEADER, overlap=None))
    segmented = write_header(HEADER)
    assert (plain[5], segmented[5]) == (0, 2)
    assert segmented[8:40] == plain[8:40]
    assert segmented[40:44] == OVERLAP.to_bytes(4, "little")
    assert np.frombuffer(DATA[START + 11 : START + 19], "<f4").tolist() == SCALES[:, 0].tolist()


@pytest.mark.parametrize(
    ("num_samples", "frames"),
    [
        (1, [1]),
        (STRIDE, [6]),
        (STRIDE + 1, [6, 1]),
        (STRIDE + 20, [8, 2]),
        (HOP * FRAMES, [8, 3]),
        (2 * STRIDE, [8, 6]),
        (2 * STRIDE + 1, [8, 6, 1]),
    ],
)
def test_the_last_two_segments_may_be_short(num_samples, frames):
    header = make_header(num_samples)
    assert [header.block_frames(i) for i in range(header.num_blocks)] == frames
    blocks = list(ContainerStream(io.BytesIO(make(header)[2])))
    assert [block.codes.shape[2] for block in blocks] == frames
    assert header.num_frames == sum(frames)


@given(st.integers(0, HEADER.num_frames - 1), st.integers(1, 60))
def test_any_stretch_is_read_alone(start, count):
    count = min(count, HEADER.num_frames - start)
    reader = ContainerReader(io.BytesIO(DATA))
    np.testing.assert_array_equal(reader.read_frames(start, count), CODES[..., start : start + count])


def test_blocks_are_read_by_number():
    reader = ContainerReader(io.BytesIO(DATA))
    blocks = list(reader.read_blocks(range(17, 20)))
    np.testing.assert_array_equal(np.concatenate([block.scales for block in blocks], axis=1), SCALES[:, 17:20])
    np.testing.assert_array_equal(blocks[0].codes, CODES[..., 17 * FRAMES : 18 * FRAMES])


def test_damage_names_its_segment_and_time():
    for byte in (11, 20):
        damaged = bytearray(DATA)
        damaged[START + 3 * BLOCK + byte] ^= 1
        with pytest.raises(BitstreamError, match=r"block 3 \(0\.17 to 0\.24 s\)"):
            read_container(bytes(damaged))
        assert str(scan_container(bytes(damaged)).bad[0]) == "block 3 (0.17 to 0.24 s)"
        recovered = recover_container(bytes(damaged))
        assert np.flatnonzero(recovered.missing).tolist() == list(range(3 * FRAMES, 4 * FRAMES))
        np.testing.assert_array_equal(recovered.scales[:, 3], SCALES[:, 2])
        np.testing.assert_array_equal(np.delete(recovered.scales, 3, axis=1), np.delete(SCALES, 3, axis=1))


@given(st.integers(1, 6 * STRIDE), st.integers(0, HOP * FRAMES // 2), st.sampled_from([500, 1_000, 1_500]))
def test_a_lost_footer_costs_at_most_a_hop(num_samples, overlap, source_rate):
    totals = {"source_sample_rate": source_rate, "source_num_samples": num_samples * source_rate // 1_000 or 1}
    header = make_header(num_samples, overlap=overlap, **totals)
    codes, scales, data = make(header)
    recovered = recover_container(data[:-1])
    assert abs(recovered.header.num_samples - num_samples) <= HOP
    whole = recovered.header
    if whole.num_frames == header.num_frames and not recovered.missing.any():
        np.testing.assert_array_equal(recovered.codes, codes)
        np.testing.assert_array_equal(recovered.scales, scales)
    elif source_rate == 1_000:
        # A full segment after which none was found: there may have been one more, where it overlapped.
        assert recovered.missing.sum() == whole.num_frames - header.num_frames


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(START, len(DATA) - 1), st.integers(1, 255)), min_size=1, max_size=6))
def test_what_is_recovered_is_true(flips):
    data = bytearray(DATA)
    for position, mask in flips:
        data[position] ^= mask
    hit = {(position - START) // BLOCK for position, _ in flips if data[position] != DATA[position]}
    recovered = recover_container(bytes(data))
    kept = ~recovered.missing
    count = min(len(kept), HEADER.num_frames)
    np.testing.assert_array_equal(
        recovered.codes[..., :count][..., kept[:count]], CODES[..., :count][..., kept[:count]]
    )
    for index in set(range(19)) - hit:
        assert kept[index * FRAMES : (index + 1) * FRAMES].all()
        np.testing.assert_array_equal(recovered.scales[:, index], SCALES[:, index])


@given(st.integers(0, 19))
def test_a_container_cut_between_segments_keeps_those_before(count):
    data = DATA[: START + count * BLOCK]
    with pytest.raises(BitstreamError, match="cut short"):
        read_container(data)
    if count:
        recovered = recover_container(data)
        np.testing.assert_array_equal(recovered.codes[..., : count * FRAMES], CODES[..., : count * FRAMES])
        assert not recovered.missing[: count * FRAMES].any()


@pytest.mark.parametrize("frames", [[8, 6], [8, 8, 2], [8, 5, 2], [8, 6, 1, 1], [8, 7], [6, 8, 1]])
def test_segments_that_contradict_the_totals_are_refused(frames):
    lie = forge(make_header(2 * STRIDE + 1), frames)
    with pytest.raises(BitstreamError):
        read_container(lie)
    with pytest.raises(BitstreamError):
        ContainerReader(io.BytesIO(lie)).read_frames(0, 15)
    assert not scan_container(lie).whole
    assert read_container(forge(make_header(2 * STRIDE + 1), [8, 6, 1])).codes.shape[2] == 15


@pytest.mark.parametrize("scale", [-1.0, np.nan, np.inf])
def test_scales_that_are_none_are_refused(scale):
    header = make_header(STRIDE)
    codes, scales, _ = make(header)
    scales[1, 0] = scale
    with pytest.raises(ValueError, match="finite"):
        write_container(header, codes, scales)
    opening = parse_header(write_header(header))
    lie = write_header(header) + b"".join(write_blocks(opening, [Block(codes, scales)], 0))
    lie += write_footer(opening, Footer(STRIDE, STRIDE, ()))
    with pytest.raises(BitstreamError, match="scale that is negative or not finite"):
        read_container(lie)


def test_headers_that_contradict_themselves_are_refused():
    for change in ({"overlap": HOP * FRAMES // 2 + 1}, {"overlap": -1}, {"overlap": 1 << 32}):
        with pytest.raises(ValueError, match="header"):
            write_header(make_header(100, **change))
    with pytest.raises(BitstreamError, match=r"features that this release doesn't know \(bits 0x80\)"):
        read_header(DATA[:5] + b"\x82" + DATA[6:])


def test_the_writer_takes_segments_one_by_one():
    writer = ContainerWriter(io.BytesIO(), HEADER)
    one = CODES[..., :FRAMES]
    with pytest.raises(ValueError, match="are segments"):
        writer.write(one)
    with pytest.raises(ValueError, match="scales have shape"):
        writer.write_segment(one, SCALES[:1, :1])
    with pytest.raises(ValueError, match="9 frames"):
        writer.write_segment(CODES[..., : FRAMES + 1], SCALES[:, :1])
    writer.write_segment(one, SCALES[:, :1])
    for num_samples in (STRIDE, STRIDE + 1, HOP * FRAMES):
        with pytest.raises(ValueError, match="8 frames"):
            writer.close(num_samples=num_samples, source_num_samples=1)
    with pytest.raises(ValueError, match="segments need scales"):
        write_container(HEADER, CODES)


@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(0, len(DATA)), st.integers(0, len(DATA)))
def test_noise_anywhere_raises_only_our_error(noise, keep, resume):
    data = DATA[:keep] + noise + DATA[resume:]
    for read in (read_container, read_header, scan_container, recover_container):
        with contextlib.suppress(BitstreamError):
            read(data)
