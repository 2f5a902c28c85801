"""Tiny codecs of every kind, and packages of them."""

import functools

import pytest
import torch

from codec.config import QuantizerConfig
from codec.dac.config import DacConfig
from codec.model import Codec
from codec.nacre.config import NacreConfig
from codec.seanet.config import SeanetConfig
from codec.weights import load_package, write_package
from tiny import segmented_codec, tiny_codec, tiny_config

DAC = {"encoder_width": 4, "decoder_width": 16, "dilations": (1, 3)}
SOUNDSTREAM = {
    "residual_units": 2,
    "dilation_growth": 3,
    "residual_kernel_size": 5,
    "latent_kernel_size": 3,
    "conv_shortcut": False,
    "padding": "constant",
    "denoising": True,
}
# One of each kind that exactness tells apart; hops of 30 samples, odd strides included.
KINDS = {
    "nacre": NacreConfig(width=8, encoder_blocks=1, level_bands=3, kernel_size=3),
    "nacre-causal": NacreConfig(width=8, encoder_blocks=1, level_bands=3, kernel_size=3, causal=True),
    "dac": DacConfig(**DAC, encoder_rates=(2, 3, 5), decoder_rates=(5, 3, 2)),
    "dac-wide": DacConfig(**DAC, encoder_rates=(3, 10), decoder_rates=(10, 3)),
    "encodec": SeanetConfig(filters=4, ratios=(5, 3, 2)),
    "encodec-constant": SeanetConfig(filters=4, ratios=(5, 6), padding="constant", lstm_layers=1),
    "seanet-reflect": SeanetConfig(filters=4, ratios=(5, 3, 2), lstm_layers=0),
    "soundstream": SeanetConfig(filters=4, ratios=(5, 3, 2), lstm_layers=0, **SOUNDSTREAM),
    "centred": SeanetConfig(filters=4, ratios=(5, 3, 2), lstm_layers=0, causal=False),
    "centred-constant": SeanetConfig(filters=4, ratios=(6, 5), lstm_layers=0, causal=False, padding="constant"),
    "centred-lstm": SeanetConfig(filters=4, ratios=(5, 3, 2), lstm_layers=1, causal=False),
    "time-group": SeanetConfig(filters=4, ratios=(5, 3, 2), lstm_layers=0, causal=False, norm="time_group"),
}


def tiny_kind(kind, channels=1):
    torch.manual_seed(0)
    network = KINDS[kind]
    quantizer = QuantizerConfig(num_quantizers=3, codebook_size=64)
    if isinstance(network, DacConfig):
        quantizer = QuantizerConfig(kind="factorized", num_quantizers=3, codebook_size=64, codebook_dim=4)
    config = tiny_config(
        name=kind,
        family={NacreConfig: "nacre", DacConfig: "dac", SeanetConfig: "seanet"}[type(network)],
        channels=channels,
        hop_length=30,
        quantizer=quantizer,
        network=network,
    )
    codec = Codec(config)
    with torch.no_grad():
        for name, parameter in codec.named_parameters():
            if name.endswith("film.table.weight"):
                parameter.normal_()
    audio = 0.1 * torch.randn(4, channels, 3000)
    codec.initialize_network(audio)
    codec.initialize_codebooks(audio)
    return codec.eval()


@pytest.fixture(scope="session")
def kinds():
    """Return a codec of each kind by its name, and cache them: no test changes one."""
    return functools.cache(tiny_kind)


@pytest.fixture
def make_config():
    return tiny_config


@pytest.fixture
def make_codec():
    return tiny_codec


@pytest.fixture(scope="session")
def segmented(tmp_path_factory):
    """The codec in segments, as a loaded package."""
    directory = tmp_path_factory.mktemp("package") / "segmented"
    write_package(directory, segmented_codec(), metrics={}, lineage={})
    return load_package(directory)


@pytest.fixture(scope="session")
def package_directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("package") / "tiny"
    write_package(directory, tiny_codec(), metrics={"mel_distance": 1.5}, lineage={"seed": 0})
    return directory


@pytest.fixture(scope="session")
def loaded(package_directory):
    return load_package(package_directory)


@pytest.fixture
def set_threads():
    """Set how many threads torch takes, for this test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
