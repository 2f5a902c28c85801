"""What is read of audio files for metadata, and written into them: tags, layout, facts; bounded, the same each time."""

import hashlib
import io
import struct
import time
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.audio import Audio
from codec.audio_blocks import write_blocks, write_blocks_as
from codec.channel_layout import SPEAKERS, flac_layout, layout_of_mask, mask_of_layout
from codec.compress import compress
from codec.compress_blocks import compress_source, decompress_blocks
from codec.container import read_metadata
from codec.description import describe_source, embedded_metadata
from codec.metadata import Metadata
from codec.tags import MAX_READ_BYTES, MAX_TAGS_BYTES, MAX_VALUE, read_tags

TAGS = {
    "album": ("Muscheln",),
    "artist": ("Anna",),
    "comment": ("你好",),
    "copyright": ("me",),
    "date": ("2020",),
    "genre": ("Jazz",),
    "license": ("CC0",),
    "title": ("Schöner Klang",),
    "tracknumber": ("3",),
}
# What libsndfile has no field for in a format.
MISSING = {"wav": {"license"}, "aiff": {"album", "date", "genre", "license", "tracknumber"}}


def audio_file(format="wav", channels=1, metadata=None, **facts):
    buffer = io.BytesIO()
    blocks = [np.zeros((channels, 4800), np.float32)]
    facts = {"sample_rate": 48_000, "channels": channels, "num_samples": 4800, "metadata": metadata} | facts
    write_blocks_as(format, buffer, blocks, **facts)
    return buffer


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def wav(*chunks, channels=1, mask=None):
    """Return a wav file with more chunks, WAVE_FORMAT_EXTENSIBLE if it has a mask."""
    facts = struct.pack("<HHIIHH", 1 if mask is None else 0xFFFE, channels, 8_000, 16_000 * channels, 2 * channels, 16)
    if mask is not None:
        facts += struct.pack("<HHI", 22, 16, mask) + bytes.fromhex("0100000000001000800000aa00389b71")
    body = chunk(b"fmt ", facts) + b"".join(chunks) + chunk(b"data", bytes(200 * channels))
    return io.BytesIO(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body)


def info(**fields):
    return chunk(b"LIST", b"INFO" + b"".join(chunk(name.encode(), value) for name, value in fields.items()))


@pytest.mark.parametrize("format", ["wav", "flac", "ogg", "opus", "aiff", "caf"])
def test_tags_written_are_read_again(format):
    found = read_tags(audio_file(format, metadata=Metadata(tags=TAGS)))
    found.pop("encoder", None)  # libsndfile's own, in ogg
    assert found == {name: values for name, values in TAGS.items() if name not in MISSING.get(format, ())}


@pytest.mark.parametrize("format", ["mp3", "au", "w64"])
def test_a_format_without_fields_is_written_all_the_same(format):
    assert audio_file(format, metadata=Metadata(tags=TAGS)).getvalue() == audio_file(format).getvalue()


@pytest.mark.parametrize("format", ["wav", "flac", "mp3"])
def test_a_file_without_tags_has_none(format):
    assert embedded_metadata(audio_file(format)) is None
    assert audio_file(format, metadata=Metadata()).getvalue() == audio_file(format).getvalue()


def test_several_values_are_joined_in_a_field_that_holds_one():
    assert read_tags(audio_file("flac", metadata=Metadata(tags={"artist": ("a", "b")}))) == {"artist": ("a; b",)}


def test_names_are_those_of_vorbis_comments():
    tags = read_tags(wav(info(ISFT=b"Lavf", ICRD=b"1999", ITRK=b"7", IENG=b"Eve\0")))
    assert tags == {"date": ("1999",), "ieng": ("Eve",), "software": ("Lavf",), "tracknumber": ("7",)}


def test_large_tags_are_left_out():
    long, longest = b"a" * (MAX_VALUE + 1), b"b" * MAX_VALUE
    assert read_tags(wav(info(IART=long, INAM=longest))) == {"title": ("b" * MAX_VALUE,)}
    many = {f"X{number:03}": longest for number in range(10)}
    tags = read_tags(wav(info(**many)))
    assert list(tags) == [f"x{number:03}" for number in range(MAX_TAGS_BYTES // MAX_VALUE - 1)]
    described = describe_source(wav(info(**dict.fromkeys(many, b"\x01" * MAX_VALUE))))
    assert len(described.to_json()) < 1 << 16


def test_files_made_to_exhaust_the_reader_cost_little():
    huge = wav(info(IART=b"x" * (MAX_READ_BYTES + 1), INAM=b"title"))
    endless = wav(*[chunk(b"JUNK", b"")] * (MAX_READ_BYTES // 8), info(INAM=b"title"))
    tracemalloc.start()
    start = time.perf_counter()
    for file in (huge, endless):
        assert set(read_tags(file)) <= {"title"}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * MAX_READ_BYTES
    assert time.perf_counter() - start < 60


def id3_frame(name, content):
    """Return a frame of ID3 2.3."""
    return name + struct.pack(">I", len(content)) + bytes(2) + content


def id3_chunk(frames):
    size = len(frames)
    return chunk(b"id3 ", b"ID3\3\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + frames)


def test_files_made_to_keep_the_reader_busy_do_not():
    """Without a bound each of them takes minutes: values are compared with all others, ends of lines looked for."""
    values = b"\0".join(f"{number:x}".encode() for number in range(100_000))
    lines = b"\1eng\2\1" + b"aaaa" * 50_000 + b"a\0\0b" * 50_000
    files = [
        wav(id3_chunk(id3_frame(b"TPE1", b"\3" + values))),
        wav(id3_chunk(id3_frame(b"SYLT", lines))),
        wav(info(IART=b"a"), id3_chunk(id3_frame(b"SYLT", lines[:60_000]))),
        wav(chunk(b"LIST", b"INFO" + b"".join(chunk(b"IART", b"%06d" % number) for number in range(30_000)))),
    ]
    start = time.process_time()
    for file in files:
        assert set(read_tags(file)) <= {"artist"}
    assert time.process_time() - start < 20


def test_what_is_read_in_id3_is_that_of_ordinary_files():
    frames = id3_frame(b"TPE1", b"\3Anna\0Eve") + id3_frame(b"TIT2", b"\3SYLT") + id3_frame(b"TALB", b"\3Sand")
    tags = read_tags(wav(id3_chunk(frames)))
    assert tags == {"album": ("Sand",), "artist": ("Anna", "Eve"), "title": ("SYLT",)}


@settings(max_examples=200)
@given(st.sampled_from(["wav", "flac", "ogg", "aiff", "mp3"]), st.data())
def test_damaged_files_raise_nothing(format, data):
    file = bytearray(audio_file(format, metadata=Metadata(tags=TAGS)).getvalue()[:2000])
    for _ in range(data.draw(st.integers(1, 5))):
        file[data.draw(st.integers(0, min(400, len(file)) - 1))] = data.draw(st.integers(0, 255))
    described = describe_source(io.BytesIO(bytes(file)))
    assert described.source_sha256 == hashlib.sha256(file).hexdigest()
    assert Metadata.from_json(described.to_json()) == described


def test_a_source_is_described(tmp_path):
    path = tmp_path / "a.flac"
    facts = {"sample_rate": 44_100, "channels": 1, "num_samples": 100}
    write_blocks(path, [np.zeros((1, 100), np.float32)], **facts, metadata=Metadata(tags={"title": ("A",)}))
    described = describe_source(path, source_name="deep/a\udcff.flac", mtime_ns=5)
    assert described == Metadata(
        tags={"title": ("A",)},
        source_name="deep/a?.flac",
        source_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        mtime_ns=5,
        sample_rate=44_100,
        format="flac",
        subtype="pcm_16",
    )
    with path.open("rb") as file:
        file.seek(7)
        again = describe_source(file, source_sha256="0" * 64)
        assert file.tell() == 0
    assert again == Metadata(
        tags={"title": ("A",)}, source_sha256="0" * 64, sample_rate=44_100, format="flac", subtype="pcm_16"
    )


def test_the_most_that_a_file_can_say_fits_into_a_container():
    file = wav(info(**{f"X{number:03}": b"\x01" * (MAX_VALUE - number) for number in range(8)}))
    described = describe_source(file, source_name="\n" * 4000, mtime_ns=2**63 - 1)
    assert (len(described.source_name), described.mtime_ns) == (4000, 2**63 - 1)
    assert described.to_json()
    assert describe_source(file, source_name="\n" * 9000, mtime_ns=2**63).to_json() == describe_source(file).to_json()


def test_what_is_no_audio_is_described_as_far_as_it_goes():
    assert describe_source(io.BytesIO(b"text")) == Metadata(source_sha256=hashlib.sha256(b"text").hexdigest())


def test_ffmpegs_formats_are_described_too(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Schön"
        stream = container.add_stream("aac", rate=48_000, layout="5.1")
        frame = av.AudioFrame.from_ndarray(np.zeros((6, 1024), np.float32), format="fltp", layout="5.1")
        frame.sample_rate = 48_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    for source in (path, io.BytesIO(path.read_bytes())):
        found = describe_source(source)
        assert found.tags["title"] == ("Schön",)
        assert (found.subtype, found.sample_rate) == ("aac", 48_000)
        assert found.channel_layout in ("FL+FR+FC+LFE+BL+BR", "FL+FR+FC+LFE+SL+SR", "FC+FL+FR+BL+BR+LFE")


@pytest.mark.parametrize(
    ("channels", "mask", "layout"),
    [
        (3, 0b111, "FL+FR+FC"),
        (4, 0x107, "FL+FR+FC+BC"),
        (1, 0b100, None),
        (2, 0b11, None),
        (3, 0b11, None),
        (3, 0, None),
        (3, 1 << 31 | 0b11, None),
    ],
)
def test_a_wav_files_mask_is_its_layout(channels, mask, layout):
    assert describe_source(wav(channels=channels, mask=mask)).channel_layout == layout
    assert describe_source(wav(channels=channels)).channel_layout is None


def test_flac_prescribes_an_order_unless_a_mask_is_tagged():
    assert [flac_layout(channels, None) for channels in (1, 2, 3, 9)] == [None, None, "FL+FR+FC", None]
    assert flac_layout(7, None) == "FL+FR+FC+LFE+BC+SL+SR"
    assert flac_layout(3, "0x107") is None
    assert flac_layout(4, "0x107") == "FL+FR+FC+BC"
    assert flac_layout(4, "none") is None


@given(st.integers(-1, 2**20), st.integers(1, 20))
def test_masks_and_layouts_there_and_back(mask, channels):
    layout = layout_of_mask(max(mask, 0), channels)
    assert mask_of_layout(layout, channels) == (None if layout is None else mask)
    assert mask_of_layout("FR+FL+FC", 3) is None
    assert mask_of_layout("FL+FL+FC", 3) is None
    assert mask_of_layout("", 1) is None
    assert layout is None or set(layout.split("+")) <= set(SPEAKERS)


@pytest.mark.parametrize(("channels", "mask"), [(3, 0x7), (4, 0x107), (5, 0x37), (6, 0x3F), (6, 0x60F)])
def test_a_layout_is_written_into_wav(channels, mask):
    metadata = Metadata(tags={"title": ("A",)}, channel_layout=layout_of_mask(mask, channels))
    file = audio_file("wav", channels, metadata)
    found = describe_source(file)
    assert (found.channel_layout, found.tags, found.format) == (metadata.channel_layout, metadata.tags, "wavex")
    file.seek(0)
    assert soundfile.read(file)[0].shape == (4800, channels)
    assert describe_source(audio_file("wav", channels - 1, metadata)).format == "wav"


def test_what_was_compressed_comes_back_with_its_metadata(loaded):
    file = audio_file("flac", metadata=Metadata(tags=TAGS))
    metadata = describe_source(file, source_name="a.flac", mtime_ns=1)
    compressed = compress_source(loaded, file, metadata=metadata)
    assert read_metadata(compressed.data) == metadata
    assert decompress_blocks(loaded, compressed.data).metadata == metadata
    audio = Audio(samples=np.zeros((1, 4800), np.float32), sample_rate=48_000)
    assert compress(loaded, audio, metadata=metadata) == compressed.data
    file.seek(0)
    plain = compress_source(loaded, file)
    assert decompress_blocks(loaded, plain.data).metadata is None
    assert len(compressed.data) - len(plain.data) == len(metadata.to_json()) + 8
