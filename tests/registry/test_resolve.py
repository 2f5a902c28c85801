import pytest

from codec.errors import PackageError, UnknownModelError
from codec.weights import load_package
from registry.resolve import resolve_package


@pytest.fixture
def promoted(three_versions):
    three_versions.promote("speech:2", "production")
    return three_versions


@pytest.mark.parametrize(("text", "version"), [("speech", 2), ("speech@production", 2), ("speech:3", 3)])
def test_a_reference_means_the_verified_directory(promoted, text, version):
    directory = resolve_package(text)
    assert directory == promoted.show(f"speech:{version}").directory
    assert load_package(directory).codec is not None


def test_a_package_folder_means_itself_without_any_registry(make_package, private_home, monkeypatch):
    package = make_package()
    assert resolve_package(str(package)) == package
    monkeypatch.chdir(package.parent)
    assert resolve_package(package.name).absolute() == package
    assert not (private_home / "nacre").exists()


def test_a_folder_that_is_no_package_does_not_hide_a_name(promoted, tmp_path, monkeypatch):
    (tmp_path / "speech").mkdir()
    (tmp_path / "music").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve_package("speech") == promoted.show("speech").directory
    with pytest.raises(UnknownModelError, match=r"no model 'music'.*the folder 'music' is not a package"):
        resolve_package("music")


def test_a_path_that_does_not_exist_is_not_taken_for_a_name(promoted):
    with pytest.raises(PackageError, match=r"no package folder '\./speech'"):
        resolve_package("./speech")


def test_a_damaged_version_is_refused(promoted):
    (promoted.show("speech").directory / "model.safetensors").write_bytes(b"")
    with pytest.raises(PackageError, match=r"model\.safetensors"):
        resolve_package("speech")
