"""Encoding and decoding keep every length, and what a container claims is checked first."""

import io

import numpy as np
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.audio import AudioLimits
from codec.compress import decompress
from serving.conversion import encode_source


@settings(max_examples=60, deadline=None)
@given(
    num_samples=st.integers(1, 3000),
    channels=st.integers(1, 2),
    sample_rate=st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000, 192_000]),
    stages=st.integers(1, 4),
)
def test_decoded_length_is_the_source_length(model, num_samples, channels, sample_rate, stages):
    samples = 0.1 * np.random.default_rng(num_samples).standard_normal((num_samples, channels))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate, format="wav", subtype="FLOAT")
    buffer.seek(0)
    encoded = encode_source(model, buffer, AudioLimits(), num_quantizers=stages)
    audio = decompress(model, encoded.data, AudioLimits())
    assert audio.samples.shape == (channels, num_samples)
    assert audio.sample_rate == sample_rate
    assert np.isfinite(audio.samples).all()
    assert encoded.seconds == num_samples / sample_rate
