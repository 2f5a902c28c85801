"""Imported EnCodec models against the reference, with random weights: the same codes, the same audio."""

import pytest
import torch

from codec.errors import PackageError
from codec.hf_import import read_hf
from codec.seanet.hf import import_encodec

transformers = pytest.importorskip("transformers")

MONO = {"num_filters": 8, "hidden_size": 16, "codebook_size": 64, "target_bandwidths": [0.45, 0.9, 3.6]}
MODELS = {
    "24k": MONO,
    "48k": {
        **MONO,
        "sampling_rate": 48_000,
        "audio_channels": 2,
        "norm_type": "time_group_norm",
        "use_causal_conv": False,
        "target_bandwidths": [0.9, 3.6, 7.2],
    },
    "32k": {
        **MONO,
        "sampling_rate": 32_000,
        "upsampling_ratios": [8, 5, 4, 4],
        "use_causal_conv": False,
        "use_conv_shortcut": False,
        "target_bandwidths": [0.3, 1.2],
    },
    "zero padding, two units": {**MONO, "pad_mode": "constant", "num_residual_layers": 2},
}


def make_reference(settings):
    """A reference with weights and codebooks at the scale of what they act on, so that codes and audio vary."""
    torch.manual_seed(0)
    model = transformers.EncodecModel(transformers.EncodecConfig(**settings)).eval()
    audio = 0.3 * torch.randn(2, settings.get("audio_channels", 1), 6400)
    with torch.no_grad():
        latents = model.encoder(audio)
        center, spread = latents.mean((0, 2)), latents.std((0, 2))
        for stage, layer in enumerate(model.quantizer.layers):
            noise = 0.7**stage * spread * torch.randn_like(layer.codebook.embed)
            layer.codebook.embed.copy_(noise if stage else center + noise)
        loudest = model.decoder(model.quantizer.decode(model.quantizer.encode(model.encoder(audio)))).abs().max()
        last = model.decoder.layers[-1]
        scaled = last.norm if hasattr(last, "norm") else last.conv
        weight = scaled.weight if scaled is not last.conv else last.conv.parametrizations.weight.original0
        weight.mul_(0.5 / loudest)
        scaled.bias.mul_(0.5 / loudest)
    return model


@pytest.fixture(scope="module", params=MODELS)
def pair(request, tmp_path_factory):
    reference = make_reference(MODELS[request.param])
    directory = tmp_path_factory.mktemp("hf")
    reference.save_pretrained(directory)
    return reference, read_hf(directory)


def assert_same(reference, codec, audio, kbps):
    with torch.no_grad():
        encoded = reference.encode(audio, bandwidth=kbps)
        wanted = reference.decode(encoded.audio_codes, encoded.audio_scales).audio_values
    codes = codec.encode(audio, bitrate_kbps=kbps)
    assert torch.equal(codes, encoded.audio_codes[0])
    torch.testing.assert_close(codec.decode(codes), wanted, atol=1e-4, rtol=0)
    assert codec.decode(codes, num_samples=audio.shape[-1]).shape == audio.shape


@pytest.mark.parametrize("length", [1, 2, 7, 319, 320, 321, 639, 640, 641, 961, 4097, 9000])
def test_every_length_gives_the_codes_and_audio_of_the_reference(pair, length):
    reference, codec = pair
    torch.manual_seed(length)
    audio = 0.3 * torch.randn(2, codec.config.channels, length)
    assert_same(reference, codec, audio, reference.config.target_bandwidths[-1])


def test_every_bitrate_does(pair):
    reference, codec = pair
    torch.manual_seed(0)
    audio = 0.3 * torch.randn(1, codec.config.channels, 3333)
    for kbps in reference.config.target_bandwidths:
        assert_same(reference, codec, audio, kbps)


def test_codes_and_audio_vary(pair):
    """Else equality would prove nothing."""
    _, codec = pair
    torch.manual_seed(0)
    codes = codec.encode(0.3 * torch.randn(1, codec.config.channels, 9000))
    assert all(len(stage.unique()) > 3 for stage in codes[0])
    assert 0.01 < codec.decode(codes).abs().max() < 1


def test_both_spellings_of_weight_norm_are_read():
    reference = make_reference(MONO)
    tensors = reference.state_dict()
    old = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for name, tensor in tensors.items()
    }
    assert set(old) != set(tensors)
    new, same = import_encodec(MONO, tensors).state_dict(), import_encodec(MONO, old).state_dict()
    assert all(torch.equal(new[name], same[name]) for name in new)


def test_what_is_not_the_network_is_refused():
    tensors = make_reference(MONO).state_dict()
    for change, named in (
        ({"normalize": True}, "go together"),
        ({"chunk_length_s": 1.0, "overlap": 0.01}, "go together"),
        ({"normalize": True, "chunk_length_s": 1.0}, "go together"),
        ({"normalize": True, "chunk_length_s": 1.0, "overlap": 0.01}, "causal is True but must be false"),
        ({"trim_right_ratio": 0.5}, "trim_right_ratio"),
        ({"norm_type": "other"}, "norm_type"),
        ({"num_filters": 16}, "size mismatch"),
        ({"num_filters": "8"}, "EnCodec"),
        ({"use_conv_shortcut": False}, "beyond the configuration"),
    ):
        with pytest.raises(PackageError, match=named):
            import_encodec({**MONO, **change}, tensors)
    with pytest.raises(PackageError, match="hold no quantizer"):
        import_encodec(MONO, {})
    with pytest.raises(PackageError, match="lack"):
        import_encodec(MONO, {k: v for k, v in tensors.items() if "encoder.layers.3" not in k})
    cut = next(name for name in tensors if name.endswith("original0"))
    with pytest.raises(PackageError, match="lack"):
        import_encodec(MONO, {k: v for k, v in tensors.items() if k != cut})
