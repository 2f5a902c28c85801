import contextlib
import dataclasses
import io
import struct
import tracemalloc
from pathlib import Path

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
from codec.container.footer import Footer, write_footer
from codec.container.header import parse_header
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


def random_scales(header, seed=0):
    """Return scales [S, N], without a column where blocks are not segments."""
    shape = (header.num_streams, 0 if header.overlap is None else header.num_blocks)
    return np.random.default_rng(seed).exponential(0.1, shape).astype(np.float32)


@st.composite
def segmented_headers(draw):
    header = draw(headers)
    most = header.frames_per_block * header.hop_length // 2
    return dataclasses.replace(header, overlap=draw(st.integers(0, most)))


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


@given(st.one_of(headers, segmented_headers()), st.integers(0, 2**32))
def test_round_trip_for_any_codes(header, seed):
    codes, scales = random_codes(header, seed), random_scales(header, seed)
    data = write_container(header, codes, scales)
    container = read_container(data)
    assert container.header == header
    np.testing.assert_array_equal(container.codes, codes)
    np.testing.assert_array_equal(container.scales, scales)
    reader = ContainerReader(io.BytesIO(data))
    np.testing.assert_array_equal(reader.read_frames(0, header.num_frames), codes)
    report = scan_container(data)
    assert (report.problems, report.num_whole, report.header) == ((), header.num_blocks, header)


HEADER = make_header()
CODES = random_codes(HEADER)
DATA = write_container(HEADER, CODES)


def block_at(index):
    """Return the slice of DATA that a full block takes."""
    size = 11 + HEADER.packed_bytes(HEADER.frames_per_block)
    start = 40 + len(HEADER.codec_name) + index * size
    return slice(start, start + size)


def test_overhead_is_small():
    blocks = sum(11 + HEADER.packed_bytes(HEADER.block_frames(i)) for i in range(HEADER.num_blocks)) + 2
    assert len(DATA) - blocks == 66 + len(HEADER.codec_name)


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
    damaged[block_at(2).stop - 1] ^= 1
    with pytest.raises(BitstreamError, match=r"block 2 \(2\.00 to 3\.00 s\)"):
        read_container(bytes(damaged))


def test_swapped_blocks_are_detected():
    first, second = block_at(0), block_at(1)
    swapped = DATA[: first.start] + DATA[second] + DATA[first] + DATA[second.stop :]
    with pytest.raises(BitstreamError, match="block 0"):
        read_container(swapped)


def test_another_containers_block_is_detected():
    other = write_container(dataclasses.replace(HEADER, fingerprint=bytes(8)), CODES)
    with pytest.raises(BitstreamError, match="block 1"):
        read_container(DATA[: block_at(1).start] + other[block_at(1)] + DATA[block_at(1).stop :])


def test_trailing_bytes_are_refused():
    with pytest.raises(BitstreamError, match="followed by 1 bytes"):
        read_container(DATA + b"\x00")


@pytest.mark.parametrize("data", [b"", b"RIFF" + bytes(100), b"\x89NAC", b"\x89NAC\x02" + bytes(100)])
def test_what_is_no_container_is_refused(data):
    with pytest.raises(BitstreamError):
        read_container(data)


def test_a_huge_claim_costs_nothing():
    tail = struct.pack("<QQ", 2**62, 2**62)
    lie = DATA[:-24] + tail + DATA[-8:]
    tracemalloc.start()
    for read in (read_container, read_header, scan_container, recover_container):
        with contextlib.suppress(BitstreamError):
            read(lie)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@settings(max_examples=300)
@given(st.binary(max_size=300), st.integers(0, len(DATA)))
def test_arbitrary_bytes_raise_only_our_error(noise, keep):
    for data in (noise, DATA[:keep] + noise):
        for read in (scan_container, recover_container, read_header):
            with contextlib.suppress(BitstreamError):
                read(data)
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


@given(st.lists(st.integers(0, 70), max_size=12))
def test_writing_in_pieces_gives_the_same_bytes(pieces):
    buffer = io.BytesIO()
    writer = ContainerWriter(buffer, dataclasses.replace(HEADER, num_samples=0, source_num_samples=0))
    start = 0
    for count in [*pieces, HEADER.num_frames]:
        writer.write(CODES[..., start : start + count])
        start += count
    writer.close(num_samples=HEADER.num_samples, source_num_samples=HEADER.source_num_samples)
    assert buffer.getvalue() == DATA
    assert writer.num_bytes == len(DATA)


class Pipe(io.RawIOBase):
    """Gives a few bytes at a time and can't seek."""

    def __init__(self, data):
        self.data = data

    def readable(self):
        return True

    def readinto(self, buffer):
        count = min(len(buffer), 7, len(self.data))
        buffer[:count] = self.data[:count]
        self.data = self.data[count:]
        return count


def test_a_pipe_is_read_block_by_block():
    stream = ContainerStream(Pipe(DATA))
    assert stream.header == dataclasses.replace(HEADER, num_samples=0, source_num_samples=0)
    blocks = list(stream)
    assert [block.codes.shape[2] for block in blocks] == [50, 50, 50, 1]
    assert stream.header == HEADER


def test_totals_must_fit_the_frames():
    writer = ContainerWriter(io.BytesIO(), HEADER)
    with pytest.raises(ValueError, match="0 frames"):
        writer.close(num_samples=1, source_num_samples=1)
    writer.write(CODES)
    with pytest.raises(ValueError, match="151 frames"):
        writer.close(num_samples=48_321, source_num_samples=1)


LONG = make_header(num_samples=320 * 50 * 100 - 17, source_num_samples=320 * 50 * 100 - 17, num_quantizers=2)
LONG_CODES = random_codes(LONG)
LONG_DATA = write_container(LONG, LONG_CODES)


class CountingFile(io.BytesIO):
    count = 0

    def read(self, size=-1):
        data = super().read(size)
        self.count += len(data)
        return data


@given(st.integers(0, LONG.num_frames - 1), st.integers(1, 200))
def test_any_stretch_is_read_alone(start, count):
    count = min(count, LONG.num_frames - start)
    file = CountingFile(LONG_DATA)
    reader = ContainerReader(file)
    np.testing.assert_array_equal(reader.read_frames(start, count), LONG_CODES[..., start : start + count])
    assert reader.header == LONG
    block = 11 + LONG.packed_bytes(50)
    assert file.count < 300 + 15 * 11 + (count / 50 + 2) * block


def test_stretches_that_are_not_there():
    reader = ContainerReader(io.BytesIO(LONG_DATA))
    for start, count in [(-1, 5), (0, 0), (LONG.num_frames, 1), (0, LONG.num_frames + 1)]:
        with pytest.raises(ValueError, match="not within"):
            reader.read_frames(start, count)


def test_damage_elsewhere_does_not_hinder_a_stretch():
    damaged = bytearray(LONG_DATA)
    start = 40 + len(LONG.codec_name) + 11 + 3
    damaged[start] ^= 1
    reader = ContainerReader(io.BytesIO(bytes(damaged)))
    np.testing.assert_array_equal(reader.read_frames(50, 100), LONG_CODES[..., 50:150])
    with pytest.raises(BitstreamError, match="block 0"):
        reader.read_frames(49, 2)


@pytest.mark.parametrize("offset", [0, 50, 2**62, 2**64 - 1])
def test_a_lying_index_is_refused(offset):
    footer = Footer(LONG.num_samples, LONG.source_num_samples, (offset,) * 6)
    lie = LONG_DATA[: -26 - 6 * 8] + write_footer(parse_header(LONG_DATA[:104]), footer)
    with pytest.raises(BitstreamError):
        ContainerReader(io.BytesIO(lie)).read_frames(16 * 50, 1)
    with pytest.raises(BitstreamError, match="footer contradicts"):
        read_container(lie)
    assert scan_container(lie).faults == ("the index doesn't say where the blocks are",)


GOLDEN = Path(__file__).parents[1] / "data" / "golden"


PACKED = Header(
    codec_name="golden",
    fingerprint=bytes.fromhex("0123456789abcdef"),
    sample_rate=16_000,
    num_samples=99_999,
    source_sample_rate=44_100,
    source_num_samples=275_622,
    channels=2,
    num_streams=2,
    num_quantizers=3,
    codebook_size=1000,
    hop_length=320,
    frames_per_block=17,
)
# Both of its last two blocks are short.
SEGMENTED = dataclasses.replace(PACKED, num_samples=98_900, source_num_samples=272_593, overlap=500)


@pytest.mark.parametrize(("name", "header"), [("container_v1_packed", PACKED), ("container_v1_segmented", SEGMENTED)])
def test_released_containers_are_read_for_ever(name, header):
    data, codes = (GOLDEN / f"{name}.nac").read_bytes(), np.load(GOLDEN / f"{name}.npy")
    container = read_container(data)
    np.testing.assert_array_equal(container.codes, codes)
    assert write_container(container.header, container.codes, container.scales) == data
    assert container.header == header


def test_released_scales_are_read_for_ever():
    container = read_container((GOLDEN / "container_v1_segmented.nac").read_bytes())
    np.testing.assert_array_equal(container.scales, np.load(GOLDEN / "container_v1_segmented_scales.npy"))
