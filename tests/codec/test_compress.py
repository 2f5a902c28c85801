import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.audio import Audio
from codec.compress import compress, decompress
from codec.container import read_header
from codec.errors import AudioError, BitrateError, BitstreamError, ModelMismatchError
from codec.weights import load_package, write_package


def noise(channels=1, num_samples=4000, sample_rate=8000):
    samples = np.random.default_rng(0).normal(0, 0.1, (channels, num_samples)).astype(np.float32)
    return Audio(samples=samples, sample_rate=sample_rate)


def test_length_rate_and_channels_come_back_exactly(loaded):
    @settings(max_examples=60)
    @given(st.integers(1, 3000), st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000]), st.integers(1, 3))
    def check(num_samples, sample_rate, channels):
        audio = noise(channels, num_samples, sample_rate)
        decoded = decompress(loaded, compress(loaded, audio, num_quantizers=2))
        assert decoded.samples.shape == audio.samples.shape
        assert decoded.sample_rate == sample_rate

    check()


def test_each_channel_is_coded_as_it_would_be_alone(loaded):
    stereo = noise(2)
    left = Audio(samples=stereo.samples[:1], sample_rate=8000)
    both = decompress(loaded, compress(loaded, stereo)).samples
    np.testing.assert_allclose(both[:1], decompress(loaded, compress(loaded, left)).samples, atol=1e-5)


def test_a_stereo_codec_codes_both_channels_in_one_stream(make_codec, tmp_path):
    write_package(tmp_path / "p", make_codec(channels=2), metrics={}, lineage={})
    model = load_package(tmp_path / "p")
    data = compress(model, noise(2))
    assert read_header(data).num_streams == 1
    assert decompress(model, data).samples.shape == (2, 4000)
    with pytest.raises(AudioError, match="1 channels"):
        compress(model, noise(1))


def test_the_header_names_the_model_and_the_source(loaded):
    header = read_header(compress(loaded, noise(sample_rate=44100), bitrate_kbps=2))
    assert header.codec_name == "tiny"
    assert header.fingerprint == loaded.package.short_fingerprint
    assert (header.sample_rate, header.source_sample_rate, header.source_num_samples) == (8000, 44100, 4000)
    assert header.num_quantizers == 2


def test_another_models_container_is_refused(loaded, make_codec, tmp_path):
    write_package(tmp_path / "p", make_codec(seed=1), metrics={}, lineage={})
    data = compress(load_package(tmp_path / "p"), noise())
    with pytest.raises(ModelMismatchError, match="not by the model given"):
        decompress(loaded, data)


def test_damage_is_refused(loaded):
    data = compress(loaded, noise())
    with pytest.raises(BitstreamError):
        decompress(loaded, data[: len(data) // 2])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(loaded, value):
    audio = noise()
    audio.samples[0, 17] = value
    with pytest.raises(AudioError, match="not finite"):
        compress(loaded, audio)


def test_no_samples_and_unknown_bitrates_are_refused(loaded):
    with pytest.raises(AudioError, match="no samples"):
        compress(loaded, noise(num_samples=0))
    with pytest.raises(BitrateError, match="choose one of"):
        compress(loaded, noise(), bitrate_kbps=7.7)


def test_silence_is_coded(loaded):
    silence = Audio(samples=np.zeros((1, 801), np.float32), sample_rate=8000)
    assert decompress(loaded, compress(loaded, silence)).samples.shape == (1, 801)
