"""`nacre encode` and `nacre decode`: what they write, and how they refuse."""

import shutil

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from codec.container import read_metadata
from codec.description import embedded_metadata
from codec.errors import AudioError, BitrateError, BitstreamError, ModelMismatchError, NacreError, UnknownModelError
from codec.metadata import Metadata
from nacre import cli
from registry.registry import Registry


@pytest.fixture
def speech(tmp_path, make_audio):
    path = tmp_path / "speech.wav"
    path.write_bytes(make_audio(seconds=0.4, sample_rate=22_050, channels=2))
    return path


@pytest.fixture
def nacre(package):
    def run(*words, model=package):
        return CliRunner().invoke(cli, [*map(str, words), "--model", str(model)])

    return run


@pytest.fixture
def shipped(package, tmp_path, monkeypatch):
    """A folder of shipped models, with the default one."""
    folder = tmp_path / "models"
    shutil.copytree(package, folder / "nacre-16k-speech")
    monkeypatch.setattr("registry.shipped.FOLDER", folder)
    return folder


def run(*words):
    return CliRunner().invoke(cli, [*map(str, words)])


def refusal(result, kind):
    assert isinstance(result.exception, kind), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_there_and_back(nacre, speech, tmp_path):
    container, decoded = tmp_path / "deep" / "speech.nac", tmp_path / "decoded.flac"
    encoding = nacre("encode", speech, container, "--bitrate-kbps", 2)
    assert encoding.exit_code == 0
    assert f"{container.stat().st_size} bytes" in encoding.output
    assert nacre("decode", container, decoded).exit_code == 0
    info = soundfile.info(decoded)
    assert (info.frames, info.samplerate, info.channels, info.format) == (8820, 22_050, 2, "FLAC")


def test_local_and_http_give_the_same_bytes(nacre, client, speech, tmp_path):
    nacre("encode", speech, tmp_path / "a.nac", "--num-quantizers", 3)
    by_http = client.post("/v1/encode?num_quantizers=3", content=speech.read_bytes())
    assert by_http.content == (tmp_path / "a.nac").read_bytes()
    nacre("decode", tmp_path / "a.nac", tmp_path / "a.wav")
    assert client.post("/v1/decode", content=by_http.content).content == (tmp_path / "a.wav").read_bytes()


def test_a_refused_input_leaves_the_old_output(nacre, speech, tmp_path):
    out = tmp_path / "out.nac"
    out.write_bytes(b"precious")
    bad = tmp_path / "text.wav"
    bad.write_text("no audio")
    assert "text.wav" in refusal(nacre("encode", bad, out), AudioError)
    assert "7 kbps" in refusal(nacre("encode", speech, out, "--bitrate-kbps", 7), BitrateError)
    assert out.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.nac", "speech.wav", "text.wav"]


def test_names_that_would_do_harm(nacre, speech, tmp_path):
    before = speech.read_bytes()
    container = tmp_path / "a.nac"
    nacre("encode", speech, container)
    assert "another, such as .nac" in refusal(nacre("encode", speech, tmp_path / "b.wav"), AudioError)
    assert "is a folder" in refusal(nacre("encode", speech, tmp_path), NacreError)
    assert ".wav, .flac" in refusal(nacre("decode", container, tmp_path / "out.txt"), AudioError)
    (tmp_path / "same.wav").hardlink_to(container)
    assert "the input itself" in refusal(nacre("decode", container, tmp_path / "same.wav"), NacreError)
    assert speech.read_bytes() == before


def test_missing_inputs_and_models(nacre, speech, tmp_path):
    assert "there is no file" in refusal(nacre("encode", tmp_path / "no.wav", tmp_path / "a.nac"), AudioError)
    assert "there is no file" in refusal(nacre("decode", tmp_path / "no.nac", tmp_path / "a.wav"), BitstreamError)
    assert "unknown" in refusal(nacre("encode", speech, tmp_path / "a.nac", model="unknown@alias"), UnknownModelError)
    refusal(nacre("encode", speech, tmp_path / "a.nac", model=tmp_path / "none"), NacreError)


def test_damaged_and_foreign_containers(nacre, speech, tmp_path, other_package):
    container = tmp_path / "a.nac"
    nacre("encode", speech, container)
    assert "not by the model" in refusal(
        nacre("decode", container, tmp_path / "a.wav", model=other_package), ModelMismatchError
    )
    container.write_bytes(container.read_bytes()[:-10])
    assert "cut short" in refusal(nacre("decode", container, tmp_path / "a.wav"), BitstreamError)
    assert not (tmp_path / "a.wav").exists()


def test_without_a_model_the_shipped_one_is_used(nacre, shipped, speech, tmp_path):
    assert run("encode", speech, tmp_path / "a.nac").exit_code == 0
    nacre("encode", speech, tmp_path / "b.nac")
    assert (tmp_path / "a.nac").read_bytes() == (tmp_path / "b.nac").read_bytes()
    assert run("decode", tmp_path / "a.nac", tmp_path / "a.wav").exit_code == 0
    nacre("decode", tmp_path / "a.nac", tmp_path / "b.wav")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


@pytest.mark.parametrize("more", [(), ("--start", "0.1", "--duration", "0.2"), ("--conceal",)])
def test_a_container_is_decoded_by_the_model_that_made_it(
    nacre, shipped, speech, tmp_path, other_package, monkeypatch, more
):
    monkeypatch.setenv("NACRE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    nacre("encode", speech, tmp_path / "a.nac", model=other_package)
    lost = run("decode", tmp_path / "a.nac", tmp_path / "a.wav", *more)
    assert "'other' with fingerprint" in refusal(lost, ModelMismatchError)
    Registry.open().register(other_package, "voices")
    found = run("decode", tmp_path / "a.nac", tmp_path / "a.wav", *more)
    assert found.exit_code == 0, found.output
    nacre("decode", tmp_path / "a.nac", tmp_path / "b.wav", *more, model=other_package)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_a_container_from_a_pipe_tells_its_maker_too(shipped, speech, tmp_path):
    run("encode", speech, tmp_path / "a.nac")
    data = (tmp_path / "a.nac").read_bytes()
    result = CliRunner().invoke(cli, ["decode", "-", str(tmp_path / "a.wav")], input=data)
    assert result.exit_code == 0, result.output
    assert soundfile.info(tmp_path / "a.wav").frames == 8820


def test_a_container_without_a_name_lies_beside_the_audio_and_replaces_nothing(shipped, speech):
    assert run("encode", speech).exit_code == 0
    container = speech.with_suffix(".nac")
    before = container.read_bytes()
    assert "exists already: name it" in refusal(run("encode", speech, "--num-quantizers", 1), NacreError)
    assert container.read_bytes() == before
    assert run("encode", speech, container, "--num-quantizers", 1).exit_code == 0
    assert container.read_bytes() != before
    assert run("encode", "-").exit_code == 2


@pytest.fixture
def tagged(tmp_path):
    """Two channels, and tags of which one is no field of a wav file."""
    return write_tagged(tmp_path / "tagged.flac", channels=2)


def write_tagged(path, channels):
    with soundfile.SoundFile(path, "w", 8_000, channels) as file:
        file.title, file.artist, file.license = "Schöner Klang", "Anna", "CC0"
        file.write(0.1 * np.random.default_rng(0).standard_normal((9_000, channels)))
    return path


def test_tags_and_layout_go_into_the_container_and_back(nacre, tmp_path):
    nacre("encode", write_tagged(tmp_path / "tagged.flac", channels=6), tmp_path / "a.nac")
    metadata = read_metadata((tmp_path / "a.nac").read_bytes())
    tags = {"artist": ("Anna",), "license": ("CC0",), "title": ("Schöner Klang",)}
    assert metadata == Metadata(tags=tags, channel_layout="FL+FR+FC+LFE+BL+BR")
    for name, words, kept in (
        ("a.flac", (), tags),
        ("a.wav", ("--start", 1), {name: tags[name] for name in ("artist", "title")}),
        ("b.wav", ("--conceal",), {name: tags[name] for name in ("artist", "title")}),
    ):
        assert nacre("decode", tmp_path / "a.nac", tmp_path / name, *words).exit_code == 0
        assert embedded_metadata(tmp_path / name) == Metadata(tags=kept, channel_layout=metadata.channel_layout)
    nacre("decode", tmp_path / "a.nac", tmp_path / "a.mp3")
    assert soundfile.info(tmp_path / "b.wav").frames == 9_000


def test_metadata_can_be_left_out(nacre, client, tagged, tmp_path):
    nacre("encode", tagged, tmp_path / "a.nac", "--no-metadata")
    data = (tmp_path / "a.nac").read_bytes()
    assert read_metadata(data) is None
    assert client.post("/v1/encode", content=tagged.read_bytes()).content == data


def test_a_container_with_metadata_is_served_too(nacre, client, tagged, tmp_path):
    nacre("encode", tagged, tmp_path / "a.nac")
    nacre("encode", tagged, tmp_path / "b.nac", "--no-metadata")
    answers = [client.post("/v1/decode", content=(tmp_path / name).read_bytes()) for name in ("a.nac", "b.nac")]
    assert answers[0].status_code == 200
    assert answers[0].content == answers[1].content


def test_damaged_metadata_cost_a_word_and_no_audio(nacre, tagged, tmp_path):
    nacre("encode", tagged, tmp_path / "a.nac")
    nacre("encode", tagged, tmp_path / "b.nac", "--no-metadata")
    data = bytearray((tmp_path / "a.nac").read_bytes())
    data[data.index(b"Anna")] ^= 1
    (tmp_path / "a.nac").write_bytes(data)
    assert "metadata fail their checksum" in refusal(
        nacre("decode", tmp_path / "a.nac", tmp_path / "a.wav"), BitstreamError
    )
    for words in (("--conceal",), ("--start", 0)):
        result = nacre("decode", tmp_path / "a.nac", tmp_path / "a.wav", *words)
        assert result.exit_code == 0
        assert "metadata fail their checksum" in result.stderr
        nacre("decode", tmp_path / "b.nac", tmp_path / "b.wav", *words)
        assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
