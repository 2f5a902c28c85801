"""Denoising while encoding, asked for in every way there is, and refused by a model that can't."""

import io

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from codec.audio import read_audio
from codec.compress import compress
from codec.config import CodecConfig, QuantizerConfig
from codec.container import read_container
from codec.errors import CapabilityError
from codec.model import Codec
from codec.seanet.config import SeanetConfig
from codec.weights import load_package, write_package
from nacre import cli


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory):
    """A package whose condition changes the codes, as training would have it."""
    torch.manual_seed(0)
    network = SeanetConfig(filters=4, ratios=(4, 4), lstm_layers=0, denoising=True)
    codec = Codec(
        CodecConfig(
            name="denoiser",
            family="seanet",
            sample_rate=8_000,
            hop_length=16,
            latent_dim=8,
            quantizer=QuantizerConfig(num_quantizers=2, codebook_size=16),
            network=network,
        )
    )
    with torch.no_grad():
        codec.encoder.film.table.weight[1] = torch.randn(2 * 16)
    codec.initialize_codebooks(0.1 * torch.randn(4, 1, 4000))
    directory = tmp_path_factory.mktemp("package") / "denoiser"
    write_package(directory, codec.eval(), metrics={}, lineage={})
    return directory


@pytest.fixture
def speech(tmp_path, make_audio):
    path = tmp_path / "in" / "speech.wav"
    path.parent.mkdir()
    path.write_bytes(make_audio(seconds=0.3))
    return path


def nacre(*words):
    return CliRunner().invoke(cli, [*map(str, words)])


def test_every_way_gives_the_same_denoised_container(denoiser, speech, tmp_path, make_client):
    model, audio = load_package(denoiser), read_audio(speech)
    expected = compress(model, audio, denoise=True)
    assert expected != compress(model, audio)

    assert nacre("encode", speech, tmp_path / "a.nac", "--model", denoiser, "--denoise").exit_code == 0
    assert (tmp_path / "a.nac").read_bytes() == expected
    result = nacre("transcode", speech.parent, tmp_path / "out", "--model", denoiser, "--denoise")
    assert result.exit_code == 0, result.output
    transcoded = read_container((tmp_path / "out" / "speech.wav.nac").read_bytes())  # which has metadata too
    assert np.array_equal(transcoded.codes, read_container(expected).codes)

    client = make_client(load=False)
    client.engine.load(str(denoiser))
    data = speech.read_bytes()
    assert client.post("/v1/encode?denoise=true", content=data).content == expected
    assert client.post("/v1/encode", files={"file": data}, data={"denoise": "true"}).content == expected
    assert client.post("/v1/encode", content=data).content == compress(model, read_audio(io.BytesIO(data)))
    assert client.get("/v1/models").json()["models"][0]["can_denoise"] is True


def test_transcoding_again_with_the_other_choice_redoes_the_files(denoiser, speech, tmp_path):
    command = ("transcode", speech.parent, tmp_path / "out", "--model", denoiser)
    assert "1 done" in nacre(*command).output
    assert "0 done, 1 unchanged" in nacre(*command).output
    assert "1 done" in nacre(*command, "--denoise").output
    assert "0 done, 1 unchanged" in nacre(*command, "--denoise").output


def test_a_model_that_cannot_refuses_in_one_sentence(package, client, speech, tmp_path):
    for command in (
        ("encode", speech, tmp_path / "a.nac", "--model", package, "--denoise"),
        ("transcode", speech.parent, tmp_path / "out", "--model", package, "--denoise"),
    ):
        error = nacre(*command).exception
        assert isinstance(error, CapabilityError)
        assert "'tiny' can't denoise" in str(error)
    assert not (tmp_path / "a.nac").exists()
    assert not (tmp_path / "out").exists()

    response = client.post("/v1/encode?denoise=true", content=speech.read_bytes())
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "not_capable"
    assert "'tiny' can't denoise" in response.json()["error"]["message"]
    assert client.get("/v1/models").json()["models"][0]["can_denoise"] is False


def test_decoding_takes_no_denoise(package, tmp_path):
    result = nacre("transcode", tmp_path, tmp_path / "out", "--model", package, "--decode", "--denoise")
    assert result.exit_code == 2
    assert "--decode takes no --denoise" in result.output
