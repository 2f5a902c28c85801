import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv1d, fold, pad, relu

from codec.nacre.bands import band_edges
from codec.nacre.config import NacreConfig
from codec.nacre.framing import overlap_add, split_frames
from codec.nacre.mdct import mdct_basis, mdst_basis
from tiny import NETWORK


@pytest.mark.parametrize("channels", [1, 2])
def test_every_length_comes_back_to_the_sample(make_codec, channels):
    codec = make_codec(channels=channels)

    @settings(max_examples=40)
    @given(st.integers(1, 700), st.integers(1, 4))
    def check(length, stages):
        audio = 0.1 * torch.randn(2, channels, length)
        codes = codec.encode(audio, num_quantizers=stages)
        assert codes.shape == (2, stages, codec.config.num_frames(length))
        assert codes.dtype == torch.int64
        decoded = codec.decode(codes, num_samples=length)
        assert decoded.shape == audio.shape
        assert decoded.abs().max() <= 1

    check()


def test_fewer_stages_are_a_prefix_of_more(make_codec):
    codec = make_codec()
    audio = 0.1 * torch.randn(1, 1, 500)
    assert torch.equal(codec.encode(audio, num_quantizers=4)[:, :2], codec.encode(audio, num_quantizers=2))


def test_training_pass_equals_encode_and_decode(make_codec):
    codec = make_codec()
    audio = 0.1 * torch.randn(3, 1, 500)
    output = codec(audio, torch.tensor([4, 4, 4]))
    assert torch.equal(output.codes, codec.encode(audio))
    torch.testing.assert_close(
        output.reconstruction.detach().clamp(-1, 1), codec.decode(output.codes, num_samples=500), atol=1e-5, rtol=0
    )


def test_bypass_has_no_codes_and_trains_the_network(make_codec):
    codec = make_codec().train()
    audio = 0.1 * torch.randn(3, 1, 512)
    output = codec(audio, None)
    assert output.codes is None
    output.reconstruction.square().mean().backward()
    missing = [name for name, parameter in codec.named_parameters() if parameter.grad is None]
    assert missing == []


def test_the_transform_codec_alone_reconstructs_coloured_noise(make_codec):
    """With as many dimensions as levels and shape have numbers the fitted pair is the identity."""
    codec = make_codec(latent_dim=3 + 32)
    noise = torch.randn(4, 1, 3200).cumsum(-1)
    noise = noise / noise.abs().max()
    codec.initialize_network(noise)
    with torch.no_grad():
        codec.encoder.project.weight.zero_()
        codec.decoder.correct.weight.zero_()
        rebuilt = codec.decoder(codec.encoder(noise))
    torch.testing.assert_close(rebuilt[..., 32:-32], noise[..., 32:-32], atol=1e-4, rtol=0)


def test_a_louder_sound_has_the_same_shape_but_for_a_power_of_its_gain(make_codec):
    codec = make_codec()
    frames = codec.encoder.frames(0.1 * torch.randn(1, 1, 3200))
    (levels, shape), (louder_levels, louder_shape) = codec.encoder.analysis(frames), codec.encoder.analysis(4 * frames)
    torch.testing.assert_close(louder_levels, levels + 2 * math.log(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(louder_shape, 2 * shape, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("hertz", [150, 1000, 3300])
def test_levels_are_the_power_in_each_band(make_codec, hertz):
    """A sine's power, whatever its phase, is in the band that holds its frequency."""
    codec = make_codec(sample_rate=8000, hop_length=80, network=NacreConfig(**NETWORK | {"level_bands": 5}))
    edges = band_edges(80, 5, 8000)
    band = np.searchsorted(edges, hertz / 4000 * 80, side="right") - 1
    time = torch.arange(8000) / 8000
    levels, _ = codec.encoder.analysis(codec.encoder.frames(0.5 * torch.sin(2 * math.pi * hertz * time)[None, None]))
    inner = levels[0, 2:-2, 0].exp() * torch.from_numpy(np.diff(edges))
    assert (inner.argmax(-1) == band).all()
    torch.testing.assert_close(inner.sum(-1), torch.full((len(inner),), 0.5**2 / 2 * 80), rtol=0.01, atol=0)


def test_the_centred_form_keeps_its_formula(make_codec):
    """Written out: framing, zero padding, bands, blocks."""
    codec = make_codec()
    encoder, decoder = codec.encoder, codec.decoder
    spread = encoder.analysis.spread

    def block(module, hidden):
        convolution = module.depthwise
        mixed = conv1d(hidden.mT, convolution.weight, convolution.bias, padding=1, groups=16).mT
        mixed = relu(module.expand(module.norm(mixed))) ** 2
        return hidden + module.scale * module.project(mixed)

    def log_gain(levels):
        return (0.5 * levels + 0.5 * -12) / 2

    audio = 0.1 * torch.randn(1, 1, 50 * 32)
    with torch.inference_mode():
        frames = pad(audio, (16, 16)).unfold(-1, 64, 32)[:, 0]
        cosines, sines = (frames @ torch.cat([mdct_basis(32), mdst_basis(32)], 1).float()).chunk(2, -1)
        levels = ((cosines**2 + sines**2) / 2 @ encoder.analysis.means + 1e-8).log()
        shape = cosines * (-log_gain(levels) @ spread).exp()
        latents = torch.cat([encoder.level(levels), encoder.shape(shape)], -1)
        hidden = encoder.norm_in(encoder.embed(torch.cat([latents[..., :3], shape], -1)))
        latents = encoder.project(encoder.norm_out(block(encoder.blocks[0], hidden))) + latents
        torch.testing.assert_close(encoder(audio), latents.mT, atol=1e-5, rtol=0)
        hidden = block(decoder.blocks[1], block(decoder.blocks[0], decoder.embed(latents)))
        corrections = decoder.correct(decoder.norm(hidden))
        levels = decoder.level(latents[..., :3]) + corrections[..., :3]
        shape = decoder.shape(latents[..., 3:]) + corrections[..., 3:]
        parts = shape * (log_gain(levels) @ spread).exp() @ mdct_basis(32).float().T
        total = fold(parts.mT, (1, 49 * 32 + 64), (1, 64), stride=(1, 32)).view(1, 1, -1)
        torch.testing.assert_close(decoder(latents.mT), total[..., 16 : 16 + 50 * 32], atol=1e-5, rtol=0)


def test_mdct_basis_reconstructs_perfectly():
    audio = torch.randn(1, 2, 320, dtype=torch.float64)
    basis = mdct_basis(16)
    rebuilt = overlap_add(split_frames(audio, 32, 16, 8) @ basis @ basis.T, 16, 8)
    torch.testing.assert_close(rebuilt[..., 16:-16], audio[..., 16:-16])


@pytest.mark.parametrize("before", [0, 6, 12])
def test_overlap_add_is_the_adjoint_of_split_frames(before):
    audio = torch.randn(2, 2, 48)
    frames = torch.randn(2, 6, 2, 20)
    torch.testing.assert_close(
        (split_frames(audio, 20, 8, before) * frames).sum(), (audio * overlap_add(frames, 8, before)).sum()
    )
