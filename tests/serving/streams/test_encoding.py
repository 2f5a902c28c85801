"""PCM that comes in pieces gives the container that /v1/encode gives of it at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.audio import AudioLimits
from codec.container import read_container, read_header
from codec.errors import AudioError, BitrateError, CapabilityError, LimitError
from serving.streams.encoding import encode_pcm
from serving.streams.parameters import EncodeStreamParameters

SIZES = st.lists(st.integers(1, 70_000), min_size=1, max_size=4)


def encode(model, reader, **choices):
    return list(encode_pcm(model, reader, EncodeStreamParameters(**choices)))


@pytest.mark.parametrize("kind", ["windowed", "causal", "lstm", "segmented", "fitted"])
def test_a_stream_gives_the_bytes_of_the_file(models, make_reader, make_pcm, encode_whole, kind):
    model = models[kind]
    channels = model.package.config.channels

    @settings(max_examples=8, deadline=None)
    @given(
        st.integers(1, 12_000),
        SIZES,
        st.sampled_from([channels, 2]),
        st.sampled_from([8_000, 8_000, 11_025, 48_000]),
        st.sampled_from(["s16", "f32"]),
        st.integers(1, 4),
    )
    def check(num_samples, sizes, channels, rate, format, stages):
        data, samples = make_pcm(num_samples, channels, format, seed=num_samples)
        reader = make_reader(data, sizes, sample_rate=rate, channels=channels, format=format)
        pieces = encode(model, reader, num_quantizers=stages)
        assert b"".join(pieces) == encode_whole(model, samples, rate, num_quantizers=stages)
        assert reader.seconds == num_samples / rate

    check()


@pytest.mark.parametrize("kind", ["windowed", "causal"])
def test_pieces_come_before_the_end(models, make_reader, make_pcm, kind):
    data, _ = make_pcm(40_000)
    reader = make_reader(data)
    come_at = [reader.seconds for _ in encode_pcm(models[kind], reader, EncodeStreamParameters())]
    *seconds, footer = come_at[-6:]  # a causal codec's header comes alone
    late = 0.2 if kind == "windowed" else 0.07
    assert all(at <= min(5, number + late) for number, at in enumerate(seconds, start=1))
    assert footer == 5


@pytest.mark.parametrize("kind", ["windowed", "causal", "fitted"])
@pytest.mark.parametrize("block_ms", [20, 100, 1000])
def test_smaller_blocks_hold_the_same_codes(models, make_reader, make_pcm, encode_whole, kind, block_ms):
    model = models[kind]
    data, samples = make_pcm(20_001)
    streamed = read_container(b"".join(encode(model, make_reader(data), block_ms=block_ms)), model.coder)
    whole = read_container(encode_whole(model, samples), model.coder)
    assert streamed.header.frames_per_block == block_ms // 4
    np.testing.assert_array_equal(streamed.codes, whole.codes)
    assert streamed.header.source_num_samples == 20_001


def test_smaller_blocks_come_sooner(models, make_reader, make_pcm):
    reader = make_reader(make_pcm(8_000)[0], sizes=[320])
    come_at = [reader.seconds for _ in encode_pcm(models["causal"], reader, EncodeStreamParameters(block_ms=20))]
    *blocks, footer = come_at[-51:]
    assert all(at <= 0.02 * number + 0.025 for number, at in enumerate(blocks, start=1))
    assert footer == 1


@pytest.mark.parametrize("audible", [0, 4_000, 30_000])
def test_packed_or_entropy_coded_as_the_file_would_be(models, make_reader, make_pcm, encode_whole, audible):
    _, samples = make_pcm(30_000)
    samples[audible:] = 0  # of which the tables make something; of noise they make nothing
    whole = encode_whole(models["fitted"], samples)
    assert b"".join(encode(models["fitted"], make_reader(samples.tobytes()))) == whole
    assert bool(read_header(whole).coder) == (audible < 30_000)


@pytest.mark.parametrize(
    ("kind", "layout", "choices", "error", "message"),
    [
        ("whole", {}, {}, CapabilityError, "can't be coded in chunks"),
        ("windowed", {}, {"bitrate_kbps": 7}, BitrateError, "no bitrate of 7"),
        ("windowed", {}, {"denoise": True}, CapabilityError, "can't denoise"),
        ("segmented", {"channels": 2}, {"block_ms": 100}, CapabilityError, "leave block_ms out"),
        ("stereo", {}, {}, AudioError, "codes 2 at a time"),
    ],
)
def test_what_cannot_be_is_refused_before_any_audio(models, make_reader, kind, layout, choices, error, message):
    reader = make_reader(b"", **layout)
    reader._read = pytest.fail
    with pytest.raises(error, match=message):
        encode(models[kind], reader, **choices)


@pytest.mark.parametrize(
    ("layout", "message"), [({"sample_rate": 7_999}, "7999 Hz"), ({"channels": 3}, "3 channels; allowed are 1 to 2")]
)
def test_layouts_beyond_the_limits(make_reader, layout, message):
    with pytest.raises(LimitError, match=message):
        make_reader(b"", limits=AudioLimits(max_channels=2, min_sample_rate=8_000), **layout)


def test_audio_that_cannot_be_used(models, make_reader, make_pcm):
    data, samples = make_pcm(20_000, format="f32")
    samples[15_000] = np.nan
    cases = [
        (make_reader(b""), AudioError, "holds no samples"),
        (make_reader(data[:-1], format="f32"), AudioError, "ends within a sample, which takes 4 bytes"),
        (make_reader(samples.tobytes(), format="f32"), AudioError, "not finite"),
        (make_reader(data, limits=AudioLimits(max_seconds=2), format="f32"), LimitError, "longer than the 2 s"),
    ]
    for reader, error, message in cases:
        with pytest.raises(error, match=message):
            encode(models["causal"], reader)
