"""DacModel of transformers, with random weights, imported from its directory: the same codes and audio."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from codec.hf_import import import_hf
from codec.weights import load_package

transformers = pytest.importorskip("transformers")

# Rates and number of codebooks as published; widths are small.
PUBLISHED = {
    16_000: {"downsampling_ratios": [2, 4, 5, 8], "n_codebooks": 12},
    24_000: {"downsampling_ratios": [2, 4, 5, 8], "n_codebooks": 32},
    44_100: {"downsampling_ratios": [2, 4, 8, 8], "n_codebooks": 9},
}
SIZES = {"encoder_hidden_size": 8, "decoder_hidden_size": 64, "codebook_size": 64, "codebook_dim": 8}


@torch.no_grad()
def reference_model(rate):
    """Return a DacModel whose random weights keep signals alive and codes clear of ties."""
    torch.manual_seed(rate)
    model = transformers.DacModel(transformers.DacConfig(sampling_rate=rate, **PUBLISHED[rate], **SIZES)).eval()
    for name, parameter in model.named_parameters():
        if "alpha" in name:
            parameter.uniform_(0.5, 1.5)
        elif "codebook" in name:
            parameter.normal_()
        elif name.endswith("bias"):
            parameter.normal_(std=0.1)
        else:
            parameter.normal_(std=0.7 * parameter[0].numel() ** -0.5)
    return model


@pytest.fixture(scope="module", params=PUBLISHED)
def pair(request, tmp_path_factory):
    """Return the reference and the imported codec."""
    folder = tmp_path_factory.mktemp("hf")
    model = reference_model(request.param)
    model.save_pretrained(folder / "hf")
    import_hf(folder / "hf", folder / "package")
    return model, load_package(folder / "package").codec


def noise(length, batch=2):
    return 0.3 * torch.randn(batch, 1, length, generator=torch.Generator().manual_seed(length))


def padded(audio, model):
    """Pad audio [B, 1, T] as the reference's feature extractor does."""
    extractor = transformers.DacFeatureExtractor(
        sampling_rate=model.config.sampling_rate, hop_length=model.config.hop_length
    )
    items = [item[0].numpy() for item in audio]
    return extractor(items, sampling_rate=model.config.sampling_rate, return_tensors="pt")["input_values"]


def test_the_random_models_are_worth_comparing(pair):
    _, codec = pair
    codes = codec.encode(noise(20_000))
    assert codes.unique().numel() > SIZES["codebook_size"] // 2
    assert codec.decode(codes).std() > 0.05


@pytest.mark.parametrize("length", [1, 511, 2560, 3333])
@pytest.mark.parametrize("stages", [1, 4, None])
@torch.no_grad()
def test_codes_and_audio_are_the_reference_s(pair, length, stages):
    model, codec = pair
    audio = noise(length)
    codes = codec.encode(audio, num_quantizers=stages)
    expected = model.encode(padded(audio, model), stages).audio_codes
    assert torch.equal(codes, expected)
    decoded = codec.decode(codes)
    reference = model.decode(audio_codes=expected).audio_values[:, None]
    given = reference.shape[-1]
    torch.testing.assert_close(decoded[..., :given], reference, atol=1e-4, rtol=0)
    assert decoded.shape[-1] == codec.config.hop_length * codes.shape[-1] >= given
    assert (decoded[..., given:] == decoded[..., given - 1 : given]).all()


@pytest.mark.parametrize("pair", [16_000], indirect=True)
@torch.no_grad()
def test_a_training_pass_is_the_reference_s_forward(pair):
    model, codec = pair
    audio = noise(1600)
    output = codec(audio, torch.tensor([12, 12]))
    expected = model(audio)
    assert torch.equal(output.codes, expected.audio_codes)
    given = expected.audio_values.shape[-1]
    torch.testing.assert_close(output.reconstruction[:, 0, :given], expected.audio_values, atol=1e-4, rtol=0)
    # Ours are means over the stages, the reference's are their sums.
    loss = 0.25 * output.commitment_loss + output.codebook_loss
    torch.testing.assert_close(12 * loss, expected.loss.mean(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("old_names", [False, True])
@torch.no_grad()
def test_weight_norm_is_folded_away(tmp_path, old_names):
    model = reference_model(16_000)
    model.save_pretrained(tmp_path / "hf")
    audio = noise(1600)
    expected = model.encode(audio).audio_codes
    model.apply_weight_norm()
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    if old_names:
        pairs = (("original0", "weight_g"), ("original1", "weight_v"))
        for new, old in pairs:
            tensors = {name.replace(f"parametrizations.weight.{new}", old): value for name, value in tensors.items()}
    plain = load_file(tmp_path / "hf" / "model.safetensors")
    assert set(tensors) != set(plain)
    save_file(tensors, tmp_path / "hf" / "model.safetensors")
    import_hf(tmp_path / "hf", tmp_path / "package")
    assert torch.equal(load_package(tmp_path / "package").codec.encode(audio), expected)
