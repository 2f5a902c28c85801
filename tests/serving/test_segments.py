"""A stereo codec that codes in segments, through every door: commands, service, transcoding."""

import io

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from codec.weights import load_package, write_package
from nacre import cli
from serving.transcode.settings import Settings
from tiny import segmented_codec
from transcoding import transcode_inline

LENGTH = 4321


@pytest.fixture(scope="module")
def stereo(tmp_path_factory):
    """A package whose segments are 0.06 s long and overlap by 6 ms."""
    directory = tmp_path_factory.mktemp("package") / "stereo"
    write_package(directory, segmented_codec(name="stereo"), metrics={}, lineage={})
    return directory


@pytest.fixture
def run(stereo):
    def run(*words, model=True):
        words = [*map(str, words), *(["--model", str(stereo)] if model else [])]
        return CliRunner().invoke(cli, words)

    return run


@pytest.fixture
def clip(tmp_path, make_audio):
    samples = 0.1 * np.random.default_rng(0).standard_normal((LENGTH, 2))
    (tmp_path / "clip.wav").write_bytes(make_audio(samples=samples))
    return tmp_path / "clip.wav"


def test_commands_and_service_give_the_same_bytes(run, make_client, stereo, clip, tmp_path):
    assert run("encode", clip, tmp_path / "a.nac", "--num-quantizers", 3).exit_code == 0
    assert run("decode", tmp_path / "a.nac", tmp_path / "a.wav").exit_code == 0
    assert soundfile.info(tmp_path / "a.wav").frames == LENGTH
    client = make_client(load=False)
    client.engine.load(str(stereo))
    by_http = client.post("/v1/encode?num_quantizers=3", content=clip.read_bytes())
    assert by_http.content == (tmp_path / "a.nac").read_bytes()
    decoded = client.post("/v1/decode", content=by_http.content).content
    samples, _ = soundfile.read(io.BytesIO(decoded))
    assert samples.shape == (LENGTH, 2)
    np.testing.assert_allclose(samples, soundfile.read(tmp_path / "a.wav")[0], atol=2**-15)


def test_parts_of_it_and_its_remains_are_decoded(run, clip, tmp_path):
    run("encode", clip, tmp_path / "a.nac")
    run("decode", tmp_path / "a.nac", tmp_path / "whole.wav")
    run("decode", tmp_path / "a.nac", tmp_path / "part.wav", "--start", 0.25, "--duration", 0.125)
    whole, part = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("whole", "part"))
    np.testing.assert_allclose(part, whole[2000:3000], atol=2**-14)

    assert "11 whole, of 16 frames at most, segments that overlap by 48 samples" in run(
        "inspect", tmp_path / "a.nac", model=False
    ).output.replace("\n", " ")
    data = bytearray((tmp_path / "a.nac").read_bytes())
    data[50 + 2 * 47 + 20] ^= 1
    (tmp_path / "a.nac").write_bytes(data)
    assert "block 2 (0.11 to 0.17 s) damaged" in run("verify", tmp_path / "a.nac", model=False).output
    assert run("decode", tmp_path / "a.nac", tmp_path / "b.wav").exit_code == 1
    assert run("decode", tmp_path / "a.nac", tmp_path / "b.wav", "--conceal").exit_code == 0
    concealed = soundfile.read(tmp_path / "b.wav")[0]
    np.testing.assert_allclose(concealed[:864], whole[:864], atol=2**-14)
    np.testing.assert_allclose(concealed[3 * 432 + 48 :], whole[3 * 432 + 48 :], atol=2**-14)


def test_folders_are_transcoded_and_mono_is_named(stereo, clip, tmp_path, make_audio):
    archive = tmp_path / "archive"
    archive.mkdir()
    clip.rename(archive / "clip.wav")
    (archive / "mono.wav").write_bytes(make_audio(channels=1))
    model = load_package(stereo)
    tally = transcode_inline(model, archive, tmp_path / "coded")
    assert tally.done == 1
    assert [record.reason for record in tally.failures] == ["the audio has 1 channels; 'stereo' codes 2 at a time"]
    assert transcode_inline(model, tmp_path / "coded", tmp_path / "decoded", Settings(decode=True)).done == 1
    assert soundfile.info(tmp_path / "decoded" / "clip.wav").frames == LENGTH
