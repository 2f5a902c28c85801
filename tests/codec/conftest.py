"""A tiny codec, quick to build, and real enough to code audio."""

import pytest
import torch

from codec.config import CodecConfig, QuantizerConfig
from codec.model import Codec
from codec.nacre.config import NacreConfig
from codec.weights import load_package, write_package


def tiny_config(**changes):
    network = NacreConfig(
        width=16,
        encoder_blocks=1,
        decoder_blocks=1,
        decoder_blocks_upsampled=1,
        frame_length=64,
        fft_length=64,
        kernel_size=3,
    )
    quantizer = QuantizerConfig(num_quantizers=4, codebook_size=16)
    defaults = {"name": "tiny", "sample_rate": 8_000, "hop_length": 32, "latent_dim": 8}
    return CodecConfig(**{**defaults, "quantizer": quantizer, "network": network, **changes})


def tiny_codec(seed=0, **changes):
    torch.manual_seed(seed)
    config = tiny_config(**changes)
    codec = Codec(config)
    audio = 0.1 * torch.randn(4, config.channels, 4000)
    codec.initialize_network(audio)
    codec.initialize_codebooks(audio)
    return codec.eval()


@pytest.fixture
def make_config():
    return tiny_config


@pytest.fixture
def make_codec():
    return tiny_codec


@pytest.fixture(scope="session")
def package_directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("package") / "tiny"
    write_package(directory, tiny_codec(), metrics={"mel_distance": 1.5}, lineage={"seed": 0})
    return directory


@pytest.fixture(scope="session")
def loaded(package_directory):
    return load_package(package_directory)
