import pytest

from codec.errors import PackageError, UnknownModelError
from codec.weights import load_package
from registry.resolve import find_maker, find_package, resolve_package


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


def test_a_shipped_package_is_found_by_its_name_unless_a_registered_model_has_it(promoted, make_package, monkeypatch):
    shipped = make_package("shipped").rename(make_package("none").parent / "speech")
    monkeypatch.setattr("registry.shipped.FOLDER", shipped.parent)
    assert resolve_package("speech") == promoted.show("speech:2").directory
    music = shipped.rename(shipped.parent / "music")
    assert resolve_package("music") == music
    with pytest.raises(UnknownModelError, match="music"):
        resolve_package("music@production")


def test_the_maker_of_a_container_is_found_by_its_fingerprint(promoted, make_package, monkeypatch, tmp_path):
    monkeypatch.setattr("registry.shipped.FOLDER", tmp_path / "nothing")
    version = promoted.show("speech:1")
    assert find_maker(bytes.fromhex(version.fingerprint)[:8]) == find_package("speech:1")
    assert find_maker(bytes(8)) is None
    monkeypatch.setattr("registry.shipped.FOLDER", make_package("shipped").parent)
    assert find_maker(bytes.fromhex(version.fingerprint)[:8]).version is None
