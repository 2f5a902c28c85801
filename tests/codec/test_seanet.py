"""The SEANet family: its contract, its causality, and its condition."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.config import CodecConfig, QuantizerConfig
from codec.errors import CapabilityError, PackageError
from codec.model import Codec
from codec.seanet.config import SeanetConfig
from codec.weights import load_package, write_package

NETWORKS = {
    "encodec": {},
    "stereo": {"causal": False, "norm": "time_group"},
    "soundstream": {
        "residual_units": 3,
        "dilation_growth": 3,
        "latent_kernel_size": 3,
        "conv_shortcut": False,
        "lstm_layers": 0,
        "padding": "constant",
        "denoising": True,
    },
}


def make_config(kind):
    return CodecConfig(
        name=kind,
        family="seanet",
        sample_rate=8_000,
        channels=2 if kind == "stereo" else 1,
        hop_length=30,
        latent_dim=8,
        quantizer=QuantizerConfig(num_quantizers=4, codebook_size=16),
        network=SeanetConfig(filters=4, ratios=(5, 3, 2), **NETWORKS[kind]),
    )


def make_seanet(kind):
    torch.manual_seed(0)
    codec = Codec(make_config(kind)).eval()
    codec.initialize_codebooks(0.1 * torch.randn(4, codec.config.channels, 3000))
    return codec


@pytest.fixture(scope="module", params=NETWORKS)
def seanet(request):
    return make_seanet(request.param)


@settings(max_examples=25, deadline=None)
@given(length=st.integers(1, 200))
def test_every_length_comes_back_to_the_sample(seanet, length):
    audio = 0.1 * torch.randn(2, seanet.config.channels, length)
    codes = seanet.encode(audio)
    frames = seanet.config.num_frames(length)
    assert codes.shape == (2, 4, frames)
    assert seanet.decode(codes).shape == (2, seanet.config.channels, frames * 30)
    assert seanet.decode(codes, num_samples=length).shape == audio.shape


def test_a_package_gives_the_same_codes(seanet, tmp_path):
    package = write_package(tmp_path / "package", seanet, metrics={}, lineage={})
    assert package.config == seanet.config
    audio = 0.1 * torch.randn(1, seanet.config.channels, 500)
    assert torch.equal(load_package(package.directory).codec.encode(audio), seanet.encode(audio))


@pytest.mark.parametrize("kind", ["encodec", "soundstream"])
def test_a_causal_codec_waits_for_its_hop_and_no_longer(kind):
    codec = make_seanet(kind)
    assert codec.config.latency_ms == 1000 * 30 / 8000
    audio = 0.1 * torch.randn(1, 1, 600)
    changed = audio.clone()
    changed[..., 300:] += 0.1
    with torch.no_grad():
        before, after = codec.encoder(audio), codec.encoder(changed)
        torch.testing.assert_close(after[..., :10], before[..., :10], atol=1e-6, rtol=0)
        assert not torch.allclose(after[..., 10], before[..., 10])
        quantized = torch.randn(1, 8, 20)
        heard = codec.decoder(quantized)
        quantized[..., 10:] += 1
        torch.testing.assert_close(codec.decoder(quantized)[..., :300], heard[..., :300], atol=1e-6, rtol=0)
        assert not torch.allclose(codec.decoder(quantized)[..., 300:330], heard[..., 300:330])


def test_a_codec_that_looks_ahead_states_no_latency():
    assert make_config("stereo").latency_ms is None


def test_training_reaches_every_parameter(seanet):
    output = seanet(0.1 * torch.randn(2, seanet.config.channels, 300), None)
    output.reconstruction.square().mean().backward()
    assert [name for name, parameter in seanet.named_parameters() if parameter.grad is None] == []
    seanet.zero_grad(set_to_none=True)


def test_denoising_begins_as_plain_encoding_and_can_learn_to_differ():
    codec = make_seanet("soundstream")
    audio = 0.1 * torch.randn(2, 1, 600)
    plain = codec.encode(audio)
    assert torch.equal(codec.encode(audio, denoise=True), plain)
    with torch.no_grad():
        codec.encoder.film.table.weight[1] += torch.randn_like(codec.encoder.film.table.weight[1])
    assert torch.equal(codec.encode(audio), plain)
    assert not torch.equal(codec.encode(audio, denoise=True), plain)


def test_items_of_a_batch_choose_to_be_denoised_for_themselves():
    codec = make_seanet("soundstream")
    with torch.no_grad():
        codec.encoder.film.table.weight.normal_()
        audio = 0.1 * torch.randn(2, 1, 600)
        mixed = codec.encoder(audio, torch.tensor([False, True]))
        both = codec.encoder(audio, torch.tensor([True, True]))
        torch.testing.assert_close(mixed[0], codec.encoder(audio)[0])
        torch.testing.assert_close(mixed[1], both[1])


def test_a_codec_without_the_condition_refuses_to_denoise(make_codec):
    for codec in (make_seanet("encodec"), make_codec()):
        with pytest.raises(CapabilityError, match="can't denoise"):
            codec.encode(torch.zeros(1, 1, 100), denoise=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratios": ()}, "ratios"),
        ({"ratios": (0, 2)}, "ratios"),
        ({"filters": 5}, "filters"),
        ({"kernel_size": 4}, "kernel_size"),
        ({"lstm_layers": -1}, "lstm_layers"),
        ({"norm": "batch"}, "norm"),
        ({"norm": "time_group"}, "causal"),
        ({"padding": "circular"}, "padding"),
    ],
)
def test_ranges_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        SeanetConfig(**change)


def test_the_strides_make_up_the_hop():
    with pytest.raises(ValueError, match="hop_length is 160 but must be the product of ratios, 320"):
        CodecConfig(name="a", family="seanet", hop_length=160, network=SeanetConfig())


def test_json_keeps_lists_and_truth_values(seanet):
    text = seanet.config.to_json()
    assert CodecConfig.from_json(text) == seanet.config
    with pytest.raises(PackageError, match="ratios is 'abc', not a list"):
        CodecConfig.from_mapping(_with(seanet.config, ratios="abc"))
    with pytest.raises(PackageError, match="causal is 1, not bool"):
        CodecConfig.from_mapping(_with(seanet.config, causal=1))


def _with(config, **changes):
    data = json.loads(config.to_json())
    data["network"].update(changes)
    return data
