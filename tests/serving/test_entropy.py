"""A model with entropy tables, by the command line and over HTTP: the audio of the packed one, in fewer bytes."""

import io
import shutil

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from codec.audio import Audio
from codec.compress import compress
from codec.container import container_bytes, read_header
from codec.entropy import EntropyTables
from codec.errors import PackageError
from codec.package import open_package
from codec.weights import load_package, write_package
from nacre import cli
from registry.registry import Registry


@pytest.fixture(scope="module")
def fitted(package, tmp_path_factory):
    """The package again, with tables under which the codes of silence are likely."""
    loaded = load_package(package)
    silence = loaded.codec.encode(torch.zeros(1, 1, 8000))[0, :, 100]
    sizes = np.full((4, 1, 16), 100)
    sizes[range(4), 0, silence] = (1 << 14) - 1500
    tables = EntropyTables(
        earlier=np.zeros((4, 16, 1), np.int8),
        before=np.zeros((4, 16, 1), np.int8),
        gates=np.zeros((4, 3, 1), np.int8),
        biases=np.zeros((4, 1), np.int32),
        sizes=sizes.astype(np.uint16),
    )
    directory = tmp_path_factory.mktemp("package") / "fitted"
    facts = {"metrics": loaded.package.metrics, "lineage": loaded.package.lineage}
    write_package(directory, loaded.codec, **facts, tables=tables)
    return directory


@pytest.fixture
def run():
    def run(*words):
        return CliRunner().invoke(cli, [*map(str, words)])

    return run


@pytest.fixture
def sound(make_audio, tmp_path):
    """Two channels of which the second is silent but for its first second."""
    noise, rate = soundfile.read(io.BytesIO(make_audio(seconds=4.3, channels=2)))
    noise[rate:, 1] = 0
    soundfile.write(tmp_path / "a.wav", noise, rate)
    return tmp_path / "a.wav"


def test_commands_code_and_decode_it(run, package, fitted, sound, tmp_path):
    for name, directory in (("packed", package), ("coded", fitted)):
        assert run("encode", sound, tmp_path / f"{name}.nac", "--model", directory).exit_code == 0
        assert run("decode", tmp_path / f"{name}.nac", tmp_path / f"{name}.wav", "--model", directory).exit_code == 0
    assert (tmp_path / "coded.wav").read_bytes() == (tmp_path / "packed.wav").read_bytes()
    assert (tmp_path / "coded.nac").stat().st_size < (tmp_path / "packed.nac").stat().st_size
    tables = load_package(fitted).coder.fingerprint.hex()
    assert f"entropy-coded by the tables {tables}" in run("inspect", tmp_path / "coded.nac").output
    assert "whole, 5 blocks" in run("verify", tmp_path / "coded.nac").output
    refused = run("decode", tmp_path / "coded.nac", tmp_path / "no.wav", "--model", package)
    assert refused.exit_code == 1
    assert f"needs the entropy tables {tables}" in str(refused.exception)


def test_a_container_is_never_larger_than_packed(package, fitted):
    packed, coded = load_package(package), load_package(fitted)
    noise = Audio(samples=np.random.default_rng(0).normal(0, 0.3, (1, 900)).astype(np.float32), sample_rate=8_000)
    assert compress(coded, noise) == compress(packed, noise)
    assert len(compress(packed, noise)) == container_bytes(read_header(compress(packed, noise)))


def test_parts_and_damaged_ones_decode_too(run, fitted, sound, tmp_path):
    container = tmp_path / "coded.nac"
    run("encode", sound, container, "--model", fitted)
    run("decode", container, tmp_path / "whole.wav", "--model", fitted)
    whole, rate = soundfile.read(tmp_path / "whole.wav", dtype="float32")
    run("decode", container, tmp_path / "part.wav", "--start", "2", "--duration", "1", "--model", fitted)
    part, _ = soundfile.read(tmp_path / "part.wav", dtype="float32")
    np.testing.assert_allclose(part, whole[2 * rate : 3 * rate], atol=1e-4)
    data = bytearray(container.read_bytes())
    data[len(data) // 2] ^= 1
    container.write_bytes(data)
    result = run("decode", container, tmp_path / "rest.wav", "--conceal", "--model", fitted)
    assert result.exit_code == 0
    rest, _ = soundfile.read(tmp_path / "rest.wav", dtype="float32")
    assert rest.shape == whole.shape
    np.testing.assert_allclose(rest[:rate], whole[:rate], atol=1e-4)
    assert not np.allclose(rest, whole, atol=1e-4)


def test_the_service_answers_with_it(make_client, client, fitted, sound):
    coded = make_client(load=False)
    coded.engine.load(str(fitted))
    container = coded.post("/v1/encode", content=sound.read_bytes()).content
    packed = client.post("/v1/encode", content=sound.read_bytes()).content
    assert len(container) < len(packed)
    audio = coded.post("/v1/decode", content=container)
    assert audio.status_code == 200
    assert audio.content == coded.post("/v1/decode", content=packed).content
    refused = client.post("/v1/decode", content=container)
    assert refused.status_code == 409
    assert "needs the entropy tables" in refused.json()["error"]["message"]


def test_registered_with_its_tables_and_refused_without_them(fitted, tmp_path):
    version = Registry.open().register(fitted, "coded")
    assert load_package(version.directory).coder.fingerprint == load_package(fitted).coder.fingerprint
    shutil.copytree(fitted, tmp_path / "copy")
    (tmp_path / "copy" / "entropy.safetensors").unlink()
    with pytest.raises(PackageError, match=r"entropy.safetensors' is missing"):
        open_package(tmp_path / "copy")
