"""A container's metadata: carried by every reader, checked, and lost without loss of audio."""

import contextlib
import dataclasses
import io
import struct
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.container import (
    ContainerReader,
    ContainerStream,
    Header,
    container_bytes,
    read_container,
    read_header,
    read_metadata,
    recover_container,
    scan_container,
    write_container,
)
from codec.container.header import parse_header, write_header
from codec.errors import BitstreamError
from codec.metadata import MAX_METADATA_BYTES, Metadata

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
METADATA = Metadata(
    tags={"title": ("Perlmutt \u2013 \N{OYSTER}",), "artist": ("Anna", 'Bo"b\\\n')},
    source_name="tapes/01 b.flac",
    source_sha256="0123456789abcdef" * 4,
    mtime_ns=1_700_000_000_123_456_789,
    sample_rate=44_100,
    format="flac",
    subtype="pcm_24",
    channel_layout="FL+FR+FC",
)
TEXT = METADATA.to_json()
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
    metadata_bytes=len(TEXT),
)
PLAIN = dataclasses.replace(HEADER, metadata_bytes=0)
CODES = np.random.default_rng(0).integers(0, 1024, (1, 3, HEADER.num_frames))
DATA = write_container(HEADER, CODES, metadata=METADATA)
SECTION = range(len(write_header(HEADER)), len(write_header(HEADER)) + len(TEXT) + 4)
DAMAGE = "the metadata fail their checksum: the container is damaged, its audio perhaps not"


def forge(text):
    """Return the beginning of a container with that text for metadata; its checksums hold."""
    head = write_header(dataclasses.replace(HEADER, metadata_bytes=len(text)))
    checksum = google_crc32c.extend(google_crc32c.value(struct.pack("<I", parse_header(head).checksum)), text)
    return head + text + struct.pack("<I", checksum)


def test_every_reader_gives_them():
    assert read_container(DATA).metadata == METADATA
    assert read_metadata(DATA) == METADATA
    stream = ContainerStream(io.BytesIO(DATA))
    assert stream.metadata == METADATA
    assert len(list(stream)) == 20
    assert stream.header == HEADER
    report = scan_container(DATA)
    assert (report.problems, report.metadata, report.header) == ((), METADATA, HEADER)
    assert recover_container(DATA).metadata == METADATA
    reader = ContainerReader(io.BytesIO(DATA))
    np.testing.assert_array_equal(reader.read_frames(790, 150), CODES[..., 790:940])
    assert reader.read_metadata() == METADATA


def test_without_them_a_container_is_what_it_was():
    plain = write_container(PLAIN, CODES)
    assert plain[5] == 0
    assert (read_metadata(plain), read_container(plain).metadata, scan_container(plain).metadata) == (None, None, None)
    assert len(DATA) - len(plain) == len(TEXT) + 8
    assert container_bytes(HEADER) == len(DATA)


def test_the_released_described_container_is_read_for_ever():
    data, codes = (GOLDEN / "container_v1_described.nac").read_bytes(), np.load(GOLDEN / "container_v1_packed.npy")
    container = read_container(data)
    np.testing.assert_array_equal(container.codes, codes)
    assert container.metadata == METADATA
    assert write_container(container.header, codes, metadata=METADATA) == data


def test_they_stand_beside_every_other_feature():
    header = dataclasses.replace(HEADER, overlap=100)
    codes, scales = np.zeros((1, 3, header.num_frames), np.int64), np.ones((1, header.num_blocks), np.float32)
    container = read_container(write_container(header, codes, scales, metadata=METADATA))
    assert (container.header, container.metadata) == (header, METADATA)


def test_they_must_be_those_that_the_header_counts():
    for header, metadata in ((HEADER, None), (PLAIN, METADATA), (HEADER, Metadata())):
        with pytest.raises(ValueError, match="but the header says"):
            write_container(header, CODES, metadata=metadata)
    with pytest.raises(ValueError, match="contradict"):
        write_header(dataclasses.replace(HEADER, metadata_bytes=MAX_METADATA_BYTES + 1))


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_any_flipped_byte_is_detected(position, mask):
    damaged = bytearray(DATA)
    damaged[position] ^= mask
    with pytest.raises(BitstreamError):
        read_container(bytes(damaged))
    with contextlib.suppress(BitstreamError):
        assert not scan_container(bytes(damaged)).whole


@given(st.integers(SECTION.start, SECTION.stop - 1), st.integers(1, 255))
def test_their_damage_costs_no_audio(position, mask):
    damaged = bytearray(DATA)
    damaged[position] ^= mask
    with pytest.raises(BitstreamError, match=DAMAGE):
        read_container(bytes(damaged))
    with pytest.raises(BitstreamError, match=DAMAGE):
        read_metadata(bytes(damaged))
    recovered = recover_container(bytes(damaged))
    assert (recovered.report.problems, recovered.metadata) == ((DAMAGE,), None)
    assert not recovered.missing.any()
    np.testing.assert_array_equal(recovered.codes, CODES)
    reader = ContainerReader(io.BytesIO(bytes(damaged)))
    np.testing.assert_array_equal(reader.read_frames(0, 60), CODES[..., :60])


@given(st.integers(SECTION.start, SECTION.stop - 1), st.integers(1, 300), st.binary(max_size=300))
def test_bytes_lost_or_added_within_them_cost_no_audio(start, lost, added):
    damaged = DATA[:start] + added + DATA[min(start + lost, SECTION.stop) :]
    recovered = recover_container(damaged)
    np.testing.assert_array_equal(recovered.codes, CODES)
    assert not recovered.missing.any()


def test_a_lost_block_and_damaged_metadata_are_both_named():
    damaged = bytearray(DATA)
    damaged[SECTION.start] ^= 1
    damaged[SECTION.stop + 20] ^= 1
    assert scan_container(bytes(damaged)).problems == ("block 0 (0.00 to 1.00 s) damaged", DAMAGE)


def test_a_container_cut_within_them_says_so():
    cut = DATA[: SECTION.start + 10]
    report = scan_container(cut)
    assert report.bad == ()
    assert report.faults[0] == "the container is cut short within its metadata"
    for read in (read_container, recover_container, read_header):
        with pytest.raises(BitstreamError):
            read(cut)


def test_those_of_another_container_are_damaged():
    other = write_container(dataclasses.replace(HEADER, fingerprint=bytes(8)), CODES, metadata=METADATA)
    swapped = DATA[: SECTION.start] + other[SECTION.start : SECTION.stop] + DATA[SECTION.stop :]
    assert scan_container(swapped).problems == (DAMAGE,)


@pytest.mark.parametrize("text", [b"[]", b'{"a": 1}', b"\xff", b"[" * 60_000, b'{"tags":{}}'])
def test_metadata_written_wrong_are_refused(text):
    with pytest.raises(BitstreamError, match="the metadata are malformed"):
        ContainerStream(io.BytesIO(forge(text)))


@pytest.mark.parametrize("length", [0, MAX_METADATA_BYTES + 1, 2**32 - 1])
def test_a_length_that_cannot_be_is_refused_before_anything_is_read(length):
    head = write_header(HEADER)
    body = head[:-8] + struct.pack("<I", length)
    lie = body + struct.pack("<I", google_crc32c.value(body)) + DATA[len(head) :]
    for read in (read_container, read_header, scan_container):
        with pytest.raises(BitstreamError, match="header's fields contradict"):
            read(lie)


@settings(max_examples=200)
@given(st.binary(max_size=300), st.integers(0, len(DATA)), st.integers(0, len(DATA)))
def test_noise_anywhere_raises_only_our_error(noise, keep, resume):
    data = DATA[:keep] + noise + DATA[resume:]
    for read in (scan_container, recover_container, read_metadata, read_container):
        with contextlib.suppress(BitstreamError):
            read(data)
