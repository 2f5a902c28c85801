from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.config import CodecConfig, QuantizerConfig
from codec.dac.config import DacConfig
from codec.errors import PackageError
from codec.model import Codec
from codec.weights import load_package, write_package

PRESETS = Path(__file__).parents[2] / "configs" / "codec"


def tiny_dac(rates=(2, 5), channels=1):
    torch.manual_seed(0)
    hop = rates[0] * rates[1]
    network = DacConfig(encoder_width=4, encoder_rates=rates, decoder_width=16, decoder_rates=rates[::-1])
    quantizer = QuantizerConfig(kind="factorized", num_quantizers=3, codebook_size=16, codebook_dim=4)
    config = CodecConfig(
        name="tiny-dac",
        family="dac",
        sample_rate=8_000,
        channels=channels,
        hop_length=hop,
        latent_dim=8,
        quantizer=quantizer,
        network=network,
    )
    codec = Codec(config)
    codec.initialize_network(torch.randn(2, channels, 800))
    codec.initialize_codebooks(torch.randn(2, channels, 800))
    return codec.eval()


@pytest.mark.parametrize(("rates", "channels"), [((2, 5), 1), ((3, 3), 2), ((4, 2), 2)])
def test_every_length_comes_back_to_the_sample(rates, channels):
    codec = tiny_dac(rates, channels)

    @settings(max_examples=20)
    @given(st.integers(1, 80), st.integers(1, 3))
    def check(length, stages):
        audio = 0.1 * torch.randn(2, channels, length)
        codes = codec.encode(audio, num_quantizers=stages)
        assert codes.shape == (2, stages, codec.config.num_frames(length))
        assert codec.decode(codes, num_samples=length).shape == audio.shape

    check()


def test_it_trains_all_its_parameters():
    codec = tiny_dac().train()
    output = codec(0.1 * torch.randn(2, 1, 400), torch.tensor([1, 3]))
    (output.reconstruction.square().mean() + output.commitment_loss + output.codebook_loss).backward()
    assert [name for name, parameter in codec.named_parameters() if parameter.grad is None] == []


def test_a_package_holds_it_whole(tmp_path):
    codec = tiny_dac()
    write_package(tmp_path / "p", codec, metrics={}, lineage={})
    loaded = load_package(tmp_path / "p").codec
    audio = 0.1 * torch.randn(1, 1, 333)
    assert loaded.config == codec.config
    assert torch.equal(loaded.encode(audio), codec.encode(audio))
    assert torch.equal(loaded.decode(loaded.encode(audio)), codec.decode(codec.encode(audio)))


@pytest.mark.parametrize(
    ("name", "millions", "kbps"), [("dac_16k", 74, 6.0), ("dac_24k", 74, 24.0), ("dac_44k", 76, 7.75)]
)
def test_presets_have_the_published_size_and_bitrate(name, millions, kbps):
    config = CodecConfig.from_mapping(yaml.safe_load((PRESETS / f"{name}.yaml").read_text()))
    assert config.name == name
    with torch.device("meta"):
        codec = Codec(config)
    assert sum(parameter.numel() for parameter in codec.parameters()) / 1e6 == pytest.approx(millions, abs=0.9)
    assert config.bitrates_kbps[-1] == pytest.approx(kbps, abs=0.01)
    assert CodecConfig.from_json(config.to_json()) == config


def change(**changes):
    return yaml.safe_load((PRESETS / "dac_16k.yaml").read_text()) | changes


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (change(hop_length=512), "the product of encoder_rates, 320"),
        (change(family="nacre"), "unknown keys: decoder_rates"),
        (change(network=change()["network"] | {"dilations": 3}), "dilations is 3, not a list"),
        (change(network=change()["network"] | {"encoder_rates": [320, 1]}), "strides of at least 2"),
        (change(network=change()["network"] | {"decoder_width": 24}), "a positive multiple of 16"),
        (change(quantizer=change()["quantizer"] | {"codebook_dim": 0}), "codebook_dim is 0"),
        (change(quantizer=change()["quantizer"] | {"kind": "ema"}), "0 with EMA codebooks"),
        (change(quantizer=change()["quantizer"] | {"kind": "other"}), "ema or factorized"),
    ],
)
def test_bad_configurations_are_one_clear_error(data, message):
    with pytest.raises(PackageError, match=message):
        CodecConfig.from_mapping(data)
