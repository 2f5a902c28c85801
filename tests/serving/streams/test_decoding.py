"""A container that comes in pieces gives the audio that it gives at once."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.audio import Audio, AudioLimits, audio_bytes
from codec.compress import decompress
from codec.errors import BitstreamError, CapabilityError, LimitError, ModelMismatchError
from serving.streams.decoding import open_container
from serving.streams.encoding import encode_pcm
from serving.streams.parameters import EncodeStreamParameters
from serving.streams.pcm import pcm_bytes


class Pieces(io.RawIOBase):
    """A file that gives what it has in pieces, and counts it."""

    def __init__(self, data, sizes=(1000,)):
        self.source, self.sizes, self.turn = io.BytesIO(data), sizes, -1

    def read(self, count):
        self.turn += 1
        return self.source.read(min(count, self.sizes[self.turn % len(self.sizes)]))


def opened(model, file, **limits):
    return open_container(file, lambda fingerprint: model, AudioLimits(**limits))


def samples_of(container):
    return np.concatenate(list(container.blocks), axis=1)


@pytest.mark.parametrize("kind", ["windowed", "causal", "lstm", "segmented", "fitted"])
def test_a_stream_gives_the_audio_of_the_file(models, make_pcm, encode_whole, kind):
    model = models[kind]
    channels = model.package.config.channels

    @settings(max_examples=8, deadline=None)
    @given(
        st.integers(1, 12_000),
        st.lists(st.integers(1, 5_000), min_size=1, max_size=4),
        st.sampled_from([channels, 2]),
        st.sampled_from([8_000, 8_000, 11_025, 48_000]),
    )
    def check(num_samples, sizes, channels, rate):
        _, samples = make_pcm(num_samples, channels, seed=num_samples)
        data = encode_whole(model, samples, rate)
        whole = decompress(model, data).samples
        container = opened(model, Pieces(data, sizes))
        assert (container.header.source_sample_rate, container.header.channels) == (rate, channels)
        streamed = samples_of(container)
        assert streamed.shape == whole.shape == (channels, num_samples)
        np.testing.assert_allclose(streamed, whole, atol=1e-5, rtol=0)

    check()


@pytest.mark.parametrize("num_samples", [1, 29, 431, 432, 433, 480, 481, 864, 865, 912, 913, 1_000, 1_344, 1_345])
def test_segments_at_every_kind_of_end(models, make_pcm, encode_whole, num_samples):
    data = encode_whole(models["segmented"], make_pcm(num_samples, 2)[1])
    streamed = samples_of(opened(models["segmented"], Pieces(data)))
    np.testing.assert_array_equal(streamed, decompress(models["segmented"], data).samples)


@pytest.mark.parametrize("kind", ["windowed", "causal", "lstm"])
def test_small_blocks_decode_alike(models, make_reader, make_pcm, encode_whole, kind):
    data, samples = make_pcm(9_000)
    small = b"".join(encode_pcm(models[kind], make_reader(data), EncodeStreamParameters(block_ms=20)))
    whole = decompress(models[kind], encode_whole(models[kind], samples)).samples
    np.testing.assert_allclose(samples_of(opened(models[kind], Pieces(small))), whole, atol=1e-5, rtol=0)


def test_audio_comes_before_the_end(models, make_pcm, encode_whole):
    data = encode_whole(models["causal"], make_pcm(40_000)[1])
    file = Pieces(data)
    given, read_at = 0, []
    for block in opened(models["causal"], file).blocks:
        given += block.shape[1]
        read_at.append((given, file.source.tell() / len(data)))
    assert len(read_at) >= 5
    # Of five seconds, each is there, but for a hop or two, once a fifth and the start of the next is read.
    assert all(share <= 0.25 * (number + 1) for number, (_, share) in enumerate(read_at[:4]))
    assert all(samples >= 8_000 * (number + 1) - 100 for number, (samples, _) in enumerate(read_at[:4]))


def test_pcm_is_that_of_the_wav_file():
    samples = np.random.default_rng(0).uniform(-1.1, 1.1, (2, 9_000)).astype(np.float32).clip(-1, 1)
    samples[0, :5] = np.array([0.5, -0.5, 1.5, -1.5, 0]) / 32768
    audio = Audio(samples=samples, sample_rate=8_000)
    assert audio_bytes(audio, "wav").endswith(pcm_bytes(samples, "s16"))
    assert audio_bytes(audio, "wav", "FLOAT").endswith(pcm_bytes(samples, "f32"))


def test_damage_ends_it_after_what_came_before(models, make_pcm, encode_whole):
    data = bytearray(encode_whole(models["causal"], make_pcm(40_000)[1]))
    data[len(data) * 3 // 5] ^= 1
    container = opened(models["causal"], Pieces(bytes(data)))
    given = 0
    with pytest.raises(BitstreamError, match=r"block 2 .* (is damaged|fails)"):
        for block in container.blocks:
            given += block.shape[1]
    assert 15_900 <= given < 16_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-1], "cut short"),
        (lambda data: data[:-40], "cut short"),
        (lambda data: data + b"more", "don't belong to it"),
    ],
)
def test_other_ends(models, make_pcm, encode_whole, change, message):
    data = change(encode_whole(models["causal"], make_pcm(9_000)[1]))
    with pytest.raises(BitstreamError, match=message):
        samples_of(opened(models["causal"], Pieces(data)))


def test_what_is_refused_by_the_header(models, make_pcm, encode_whole):
    data = encode_whole(models["causal"], make_pcm(9_000, 2)[1], 16_000)
    with pytest.raises(BitstreamError, match="not a Nacre container"):
        opened(models["causal"], Pieces(b""))
    with pytest.raises(ModelMismatchError, match="was made by 'causal'"):
        opened(models["windowed"], Pieces(data))
    with pytest.raises(LimitError, match="2 channels"):
        opened(models["causal"], Pieces(data), max_channels=1)
    with pytest.raises(LimitError, match="16000 Hz"):
        opened(models["causal"], Pieces(data), max_sample_rate=8_000)
    whole = encode_whole(models["whole"], make_pcm(9_000)[1])
    with pytest.raises(CapabilityError, match="can't be coded in chunks"):
        opened(models["whole"], Pieces(whole))


@pytest.mark.parametrize("kind", ["windowed", "causal", "segmented"])
def test_it_stops_at_the_limit(models, make_pcm, encode_whole, kind):
    model = models[kind]
    data = encode_whole(model, make_pcm(40_000, model.package.config.channels)[1])
    assert samples_of(opened(model, Pieces(data), max_seconds=5)).shape[1] == 40_000
    container = opened(model, Pieces(data), max_seconds=2)
    with pytest.raises(LimitError, match=r"longer than the 2 s|is 5 s long"):
        given = sum(block.shape[1] for block in container.blocks)
        assert given <= 24_000
