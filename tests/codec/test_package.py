import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from codec.errors import PackageError
from codec.package import CONTENT, open_package
from codec.weights import load_package, write_package


@pytest.fixture
def copy(package_directory, tmp_path):
    return shutil.copytree(package_directory, tmp_path / "copy")


def test_what_was_written_is_what_loads(make_codec, tmp_path):
    codec = make_codec()
    package = write_package(tmp_path / "p", codec, metrics={"a": 1.0}, lineage={"seed": 3})
    loaded = load_package(tmp_path / "p")
    assert loaded.package == package
    assert (package.metrics, package.lineage, package.config) == ({"a": 1.0}, {"seed": 3}, codec.config)
    audio = 0.1 * torch.randn(1, 1, 999)
    assert torch.equal(loaded.codec.encode(audio), codec.encode(audio))
    assert not loaded.codec.training


def test_weights_in_half_precision_take_half_the_bytes(make_codec, tmp_path):
    codec = make_codec()
    write_package(tmp_path / "whole", codec, metrics={}, lineage={})
    write_package(tmp_path / "half", codec, metrics={}, lineage={}, half=True)
    whole, half = (load_package(tmp_path / name) for name in ("whole", "half"))
    sizes = [
        sum(value.nbytes for value in load_file(loaded.package.directory / "model.safetensors").values())
        for loaded in (whole, half)
    ]
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.01)
    for (name, value), rounded in zip(whole.codec.state_dict().items(), half.codec.state_dict().values(), strict=True):
        assert rounded.dtype == value.dtype, name
        torch.testing.assert_close(rounded, value, rtol=1e-3, atol=1e-7)


def test_weights_too_large_for_half_precision_are_refused(make_codec, tmp_path):
    codec = make_codec()
    with torch.no_grad():
        codec.quantizer.codebooks[0, 0, 0] = 1e5
    with pytest.raises(PackageError, match=r"quantizer\.codebooks"):
        write_package(tmp_path / "half", codec, metrics={}, lineage={}, half=True)
    assert not list(tmp_path.iterdir())


def test_a_loaded_codec_can_go_on_training(package_directory):
    codec = load_package(package_directory).codec.train()
    before = codec.quantizer.codebooks.clone()
    codec(0.1 * torch.randn(2, 1, 640), torch.tensor([4, 4]))
    assert torch.isfinite(codec.quantizer.codebooks).all()
    assert (codec.quantizer.codebooks - before).norm() < 0.5 * before.norm()


def test_the_fingerprint_depends_on_weights_and_config_alone(make_codec, tmp_path):
    first = write_package(tmp_path / "a", make_codec(), metrics={}, lineage={"when": 1})
    second = write_package(tmp_path / "b", make_codec(), metrics={"x": 1}, lineage={})
    other = write_package(tmp_path / "c", make_codec(seed=1), metrics={}, lineage={})
    assert first.fingerprint == second.fingerprint != other.fingerprint
    assert first.content_hash != second.content_hash
    assert len(first.short_fingerprint) == 8


def test_it_holds_no_training_state_and_no_pickle(package_directory):
    assert sorted(path.name for path in package_directory.iterdir()) == sorted([*CONTENT, "SHA256SUMS"])
    names = load_file(package_directory / "model.safetensors")
    assert "quantizer.codebooks" in names
    assert not any("cluster" in name for name in names)


@pytest.mark.parametrize("name", [*CONTENT, "SHA256SUMS"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(PackageError, match=name):
        open_package(copy)


@pytest.mark.parametrize("name", CONTENT)
def test_an_altered_file_is_named(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(PackageError, match=name):
        load_package(copy)


def test_weights_of_another_shape_are_refused(make_codec, make_config, copy, tmp_path):
    import hashlib

    write_package(tmp_path / "other", make_codec(latent_dim=4), metrics={}, lineage={})
    shutil.copy(tmp_path / "other" / "model.safetensors", copy)
    digest = hashlib.sha256((copy / "model.safetensors").read_bytes()).hexdigest()
    sums = (copy / "SHA256SUMS").read_text().splitlines()
    lines = [f"{digest}  model.safetensors" if "safetensors" in line else line for line in sums]
    (copy / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    with pytest.raises(PackageError, match="doesn't fit"):
        load_package(copy)


def test_an_existing_folder_is_never_overwritten(make_codec, copy):
    with pytest.raises(PackageError, match="exists already"):
        write_package(copy, make_codec(), metrics={}, lineage={})


def test_a_failed_write_leaves_nothing(make_codec, tmp_path):
    with pytest.raises(ValueError):
        write_package(tmp_path / "p", make_codec(), metrics={"nan": float("nan")}, lineage={})
    assert list(tmp_path.iterdir()) == []


def test_no_folder_and_an_empty_folder_are_no_packages(tmp_path):
    with pytest.raises(PackageError, match="no package folder"):
        open_package(tmp_path / "none")
    with pytest.raises(PackageError, match="is not a package"):
        open_package(tmp_path)


def test_codec_json_is_verbatim(package_directory, make_config):
    assert (package_directory / "codec.json").read_text() == make_config().to_json()
    assert json.loads((package_directory / "lineage.json").read_text()) == {"seed": 0}
