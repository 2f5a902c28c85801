import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv1d, fold, linear, pad, relu

from codec.nacre.framing import overlap_add, split_frames
from codec.nacre.linear_skip import mdct_basis


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


def test_the_linear_skip_alone_reconstructs_coloured_noise(make_codec):
    """With as many dimensions as the MDCT has coefficients the fitted pair is the identity."""
    codec = make_codec(latent_dim=32)
    noise = torch.randn(4, 1, 3200).cumsum(-1)
    noise = noise / noise.abs().max()
    codec.initialize_network(noise)
    linear = codec.decoder.skip(codec.encoder.skip(noise))
    torch.testing.assert_close(linear[..., 32:-32], noise[..., 32:-32], atol=1e-4, rtol=0)


def test_the_centred_form_keeps_its_formula(make_codec):
    """Bit for bit what it was before there was a causal form: its own framing and zero padding, written out."""
    codec = make_codec()
    encoder, decoder = codec.encoder, codec.decoder

    def block(module, hidden):
        convolution = module.depthwise
        mixed = conv1d(hidden.mT, convolution.weight, convolution.bias, padding=1, groups=16).mT
        mixed = relu(module.expand(module.norm(mixed))) ** 2
        return hidden + module.scale * module.project(mixed)

    def add_up(frames, hop):
        count = frames.shape[1]
        columns = frames.reshape(1, count, 64).mT
        total = fold(columns, (1, (count - 1) * hop + 64), (1, 64), stride=(1, hop)).view(1, 1, -1)
        start = (64 - hop) // 2
        return total[..., start : start + count * hop]

    audio = 0.1 * torch.randn(1, 1, 50 * 32)
    with torch.inference_mode():
        frames = pad(audio, (16, 16)).unfold(-1, 64, 32)[:, 0]
        hidden = block(encoder.blocks[0], encoder.norm_in(encoder.embed(frames)))
        latents = encoder.project(encoder.norm_out(hidden)) + linear(frames, encoder.skip.weight)
        assert torch.equal(encoder(audio), latents.mT)
        hidden = decoder.upsample(block(decoder.blocks[0], decoder.embed(latents))).view(1, 100, 16)
        parts = decoder.head.transform(decoder.norm(block(decoder.blocks_upsampled[0], hidden)))
        skip = linear(latents, decoder.skip.weight)
        assert torch.equal(decoder(latents.mT), add_up(parts, 16) * 0.5 + add_up(skip, 32))


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
