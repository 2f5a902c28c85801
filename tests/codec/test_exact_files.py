"""Containers of every kind of codec: in blocks the bytes of the whole file, and excerpts that are its stretches."""

import io

import numpy as np
import pytest

from codec.audio import Audio, audio_bytes, read_audio
from codec.compress import compress, decompress
from codec.compress_blocks import compress_source, decompress_blocks
from codec.excerpt import decompress_excerpt
from codec.weights import load_package, write_package


@pytest.fixture
def load(kinds, tmp_path):
    def load(kind):
        write_package(tmp_path / kind, kinds(kind), metrics={}, lineage={})
        return load_package(tmp_path / kind)

    return load


def noise(num_samples, sample_rate=8_000):
    samples = np.random.default_rng(0).standard_normal((1, num_samples))
    return Audio(samples=0.1 * samples.astype(np.float32), sample_rate=sample_rate)


@pytest.mark.parametrize("kind", ["dac", "encodec", "soundstream", "centred", "centred-lstm"])
def test_files_in_blocks_equal_files_whole(load, kind):
    model, file = load(kind), io.BytesIO(audio_bytes(noise(70_001), "wav"))
    compressed = compress_source(model, file)
    file.seek(0)
    assert compressed.data == compress(model, read_audio(file))
    audio = np.concatenate(list(decompress_blocks(model, compressed.data).blocks), axis=1)
    np.testing.assert_allclose(audio, decompress(model, compressed.data).samples, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["nacre", "dac", "soundstream", "seanet-reflect", "centred"])
@pytest.mark.parametrize(("sample_rate", "tolerance"), [(8_000, 1e-5), (11_025, 1e-4)])
def test_an_excerpt_is_that_of_the_whole(load, kind, sample_rate, tolerance):
    model = load(kind)
    data = compress(model, noise(5 * sample_rate, sample_rate))
    whole = decompress(model, data).samples
    for start_s, duration_s in ((0.0, 0.1), (1.234, 0.5), (4.9, None), (2.0, 0.001)):
        excerpt = decompress_excerpt(model, io.BytesIO(data), start_s=start_s, duration_s=duration_s)
        first = round(start_s * sample_rate)
        expected = whole[:, first : first + excerpt.num_samples]
        np.testing.assert_allclose(excerpt.samples, expected, atol=tolerance, rtol=0)
