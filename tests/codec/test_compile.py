"""Compiled networks give what the eager ones give."""

import shutil

import pytest
import torch

from codec.config import QuantizerConfig
from codec.dac.config import DacConfig
from codec.nacre.config import NacreConfig
from codec.seanet.config import SeanetConfig
from tiny import NETWORK

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler: apt-get install g++"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's own, while it compiles
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Torchinductor does not support code generation for complex operators"),
]

FAMILIES = {
    "nacre": {},
    "nacre causal": {"network": NacreConfig(**NETWORK, causal=True)},
    "seanet": {"family": "seanet", "network": SeanetConfig(filters=4, ratios=(8, 4), lstm_layers=1)},
    "dac": {
        "family": "dac",
        "network": DacConfig(
            encoder_width=4, encoder_rates=(4, 8), decoder_width=16, decoder_rates=(8, 4), dilations=(1,)
        ),
        "quantizer": QuantizerConfig(kind="factorized", num_quantizers=4, codebook_size=16, codebook_dim=4),
    },
}


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_compiled_output_agrees(make_codec, family):
    codec = make_codec(**FAMILIES[family])
    torch.compiler.reset()
    audio = 0.3 * torch.randn(2, 1, 1000)
    latents = codec.encoder(audio)
    torch.testing.assert_close(torch.compile(codec.encoder)(audio), latents, atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.compile(codec.decoder)(latents), codec.decoder(latents), atol=1e-4, rtol=0)
    assert latents.std() > 1e-3
