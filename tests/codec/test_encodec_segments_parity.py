"""EnCodec's stereo model with its normalised, overlapping segments against the reference: codes, scales and audio."""

import json

import pytest
import torch
from click.testing import CliRunner

from codec.audio import Audio
from codec.compress import compress, decompress
from codec.segmentation import Segmentation
from codec.segments import decode_segments, encode_segments
from codec.weights import load_package
from nacre import cli

transformers = pytest.importorskip("transformers")

STEREO = {
    "audio_channels": 2,
    "norm_type": "time_group_norm",
    "use_causal_conv": False,
    "normalize": True,
    "chunk_length_s": 1.0,
    "overlap": 0.01,
}
SMALL = {**STEREO, "sampling_rate": 4_800, "num_filters": 8, "hidden_size": 16, "codebook_size": 64}
SMALL |= {"upsampling_ratios": [4, 2, 2, 1], "target_bandwidths": [1.8, 7.2]}
# The published model's configuration.
FULL = {**STEREO, "sampling_rate": 48_000, "target_bandwidths": [3.0, 6.0, 12.0, 24.0]}
# In segments: less than one, one, one and a sample, a stride and less than a hop more, 2.37.
LENGTHS = (0.4, 1.0, 1.0 + 1 / 4_800, 0.99 + 3 / 4_800, 2.37)


def make_reference(settings):
    """A reference with codebooks at the scale of what they act on, and audio that doesn't clip."""
    torch.manual_seed(0)
    model = transformers.EncodecModel(transformers.EncodecConfig(**settings)).eval()
    with torch.no_grad():
        latents = model.encoder(torch.randn(1, 2, settings["sampling_rate"]))
        center, spread = latents.mean((0, 2)), latents.std((0, 2))
        for stage, layer in enumerate(model.quantizer.layers):
            noise = 0.7**stage * spread * torch.randn_like(layer.codebook.embed)
            layer.codebook.embed.copy_(noise if stage else center + noise)
    return model


def noise(codec, seconds, items):
    torch.manual_seed(0)
    count = round(seconds * codec.config.sample_rate)
    return 0.2 * torch.linspace(0.1, 1, count) * torch.randn(items, 2, count)


def import_package(reference, directory):
    """Go the user's way: a directory, the command, a package."""
    reference.save_pretrained(directory / "hf")
    out = directory / "package"
    result = CliRunner().invoke(cli, ["import", "hf", str(directory / "hf"), "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return load_package(out)


def assert_same(reference, codec, audio, kbps):
    """Compare with the reference, whose last segment is filled up with codes of 0."""
    length = audio.shape[-1]
    with torch.no_grad():
        encoded = reference.encode(audio, bandwidth=kbps)
        filling = encoded.last_frame_pad_length
        wanted = reference.decode(encoded.audio_codes, encoded.audio_scales, last_frame_pad_length=filling).audio_values
    coded = encode_segments(codec, audio, bitrate_kbps=kbps)
    codes = torch.cat(list(encoded.audio_codes), dim=-1)
    assert torch.equal(coded.codes, codes[..., : codes.shape[-1] - filling])
    torch.testing.assert_close(coded.scales, torch.cat(list(encoded.audio_scales), dim=1), atol=0, rtol=1e-6)
    decoded = decode_segments(codec, coded, num_samples=length)
    assert decoded.shape == audio.shape
    assert 0.01 < wanted.abs().max() < 1
    torch.testing.assert_close(decoded, wanted[..., :length], atol=1e-4, rtol=0)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    reference = make_reference(SMALL)
    return reference, import_package(reference, tmp_path_factory.mktemp("small"))


@pytest.mark.parametrize("seconds", LENGTHS)
@pytest.mark.parametrize("kbps", SMALL["target_bandwidths"])
def test_every_length_gives_the_codes_scales_and_audio_of_the_reference(small, seconds, kbps):
    reference, model = small
    assert_same(reference, model.codec, noise(model.codec, seconds, 2), kbps)


def test_codes_and_scales_vary(small):
    """Else equality would prove nothing."""
    _, model = small
    coded = encode_segments(model.codec, noise(model.codec, 2.37, 1))
    assert all(len(stage.unique()) > 20 for stage in coded.codes[0])
    assert coded.scales.std() > 0.01


def test_the_package_says_that_it_codes_in_segments(small):
    _, model = small
    assert model.package.config.segments == Segmentation(length=4_800, overlap=48)
    written = json.loads((model.package.directory / "codec.json").read_text())
    assert written["network"]["segments"] == {"length": 4_800, "overlap": 48}


def test_containers_hold_what_the_reference_gives(small):
    reference, model = small
    audio = noise(model.codec, 2.37, 1)
    with torch.no_grad():
        output = reference.encode(audio, bandwidth=7.2)
        filling = output.last_frame_pad_length
        wanted = reference.decode(output.audio_codes, output.audio_scales, last_frame_pad_length=filling).audio_values
    data = compress(model, Audio(samples=audio[0].numpy(), sample_rate=4_800), bitrate_kbps=7.2)
    decoded = torch.from_numpy(decompress(model, data).samples)
    torch.testing.assert_close(decoded, wanted[0, :, : audio.shape[-1]], atol=1e-4, rtol=0)


@pytest.mark.slow
def test_the_full_size_does_too(tmp_path):
    reference = make_reference(FULL)
    model = import_package(reference, tmp_path)
    assert model.package.config.name == "encodec_48k"
    for seconds, kbps in [(0.4, 3.0), (1.0, 24.0), (1.0 + 1 / 48_000, 6.0), (2.37, 24.0), (2.37, 6.0)]:
        assert_same(reference, model.codec, noise(model.codec, seconds, 2), kbps)
