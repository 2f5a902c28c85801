import pytest

from codec.config import CodecConfig
from codec.describe import describe_codec
from codec.seanet.config import SeanetConfig


def test_an_lstm_and_the_codebooks_are_counted():
    def describe(layers):
        network = SeanetConfig(filters=4, lstm_layers=layers)
        config = CodecConfig(name="a", family="seanet", sample_rate=8_000, latent_dim=8, network=network)
        return describe_codec(config)

    without, with_lstm = describe(0), describe(2)
    weights = 2 * 2 * 4 * 64 * 64
    assert with_lstm.encoder.multiply_adds - without.encoder.multiply_adds == 25 * weights
    assert with_lstm.encoder.parameters - without.encoder.parameters == weights + 2 * 2 * 4 * 64
    assert with_lstm.quantizer.parameters == 12 * 1024 * 8
    assert with_lstm.quantizer.multiply_adds == 25 * 12 * 1024 * 8


def test_the_nacre_family_is_described_too(make_config):
    description = describe_codec(make_config())
    assert description.encoder.multiply_adds > 0
    assert description.frame_rate == 250
    assert description.bitrates_kbps == pytest.approx([1, 2, 3, 4])
    assert description.latency_ms == 24  # its hop, and what its transforms and convolutions look ahead
