import json
import os
import shutil

import pytest

from codec.errors import PackageError, RegistryError, UnknownModelError
from codec.package import open_package
from codec.weights import load_package
from registry.registry import Registry


def stored(private_home):
    """Return every package directory in the store, registered or not."""
    return sorted((private_home / "bentoml" / "models").glob("*/*/"))


def test_a_registered_package_can_be_loaded_and_tells_where_it_came_from(models, make_package):
    package = make_package()
    version = models.register(package, "speech", note="first")
    original = open_package(package)
    assert (version.name, version.version, version.note, version.aliases) == ("speech", 1, "first", ())
    assert version.fingerprint == original.fingerprint
    assert version.content_hash == original.content_hash
    assert version.metrics == original.metrics
    assert version.lineage == original.lineage
    shutil.rmtree(package)  # the registry keeps a copy of its own
    assert load_package(models.resolve("speech:1").directory).package.fingerprint == version.fingerprint


def test_bentoml_finds_the_stored_package_under_its_own_tag(models, make_package, private_home):
    import bentoml.models
    from bentoml._internal.models import ModelStore

    version = models.register(make_package(), "speech")
    tag = f"speech:{version.directory.name}"
    found = bentoml.models.get(tag, _model_store=ModelStore(private_home / "bentoml" / "models"))
    assert found.path == str(version.directory)
    assert found.info.metadata["fingerprint"] == version.fingerprint


def test_whoever_may_enter_the_store_may_read_the_package(models, make_package):
    directory = models.register(make_package(), "speech").directory
    assert directory.stat().st_mode == directory.parent.stat().st_mode


def test_versions_count_from_one_for_each_name(models, make_package):
    packages = [make_package(run) for run in "abc"]
    assert [models.register(package, "speech").version for package in packages] == [1, 2, 3]
    assert models.register(packages[2], "music").version == 1
    assert [str(version) for version in models.list()] == ["music:1", "speech:1", "speech:2", "speech:3"]


def test_the_same_package_twice_is_one_version_and_one_copy(models, make_package, private_home):
    first = models.register_or_find(make_package(), "speech", note="kept")
    again = models.register_or_find(first.version.directory, "speech", note="ignored")
    assert first.is_new
    assert not again.is_new
    assert again.version == first.version
    assert len(stored(private_home)) == 1


@pytest.mark.parametrize("name", ["Speech", "", "a/b", "../up", "a" * 64, "x:1"])
def test_a_bad_name_is_refused_before_anything_is_stored(models, make_package, private_home, name):
    with pytest.raises(RegistryError, match="can't be a model's name"):
        models.register(make_package(), name)
    assert stored(private_home) == []


@pytest.mark.parametrize("file", ["model.safetensors", "codec.json", "metrics.json", "lineage.json"])
def test_a_package_whose_checksums_fail_is_refused(models, make_package, file):
    package = make_package()
    with (package / file).open("ab") as damaged:
        damaged.write(b" ")
    with pytest.raises(PackageError, match=file):
        models.register(package, "speech")
    assert models.list() == []


def test_a_copy_that_differs_from_the_package_never_becomes_a_version(models, make_package, private_home, monkeypatch):
    copy = shutil.copyfile

    def copy_badly(source, target, **options):
        copy(source, target, **options)
        if str(target).endswith("metrics.json"):
            os.truncate(target, 3)

    monkeypatch.setattr("registry.storage.store.shutil.copyfile", copy_badly)
    with pytest.raises(PackageError, match=r"metrics\.json"):
        models.register(make_package(), "speech")
    assert models.list() == []
    assert stored(private_home) == []


def test_a_full_disk_is_one_clear_sentence_and_leaves_nothing(models, make_package, private_home, monkeypatch):
    def fail(source, target, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("registry.storage.store.shutil.copyfile", fail)
    with pytest.raises(RegistryError, match="No space left on device"):
        models.register(make_package(), "speech")
    assert models.list() == []
    assert stored(private_home) == []


def test_what_a_killed_process_left_in_the_store_is_invisible_and_not_in_the_way(models, make_package, private_home):
    package = make_package()
    half = private_home / "bentoml" / "models" / "speech" / "0123456789ab-00000000"
    half.mkdir(parents=True)
    (half / "codec.json").write_text("{")
    (half.parent / "latest").write_text("")
    assert models.list() == []
    assert models.register(package, "speech").version == 1
    assert [result.problem for result in models.verify_all()] == [None]


@pytest.mark.parametrize("file", ["model.safetensors", "codec.json", "metrics.json", "lineage.json", "SHA256SUMS"])
@pytest.mark.parametrize("damage", ["alter", "remove"])
def test_a_stored_file_altered_or_missing_is_refused_by_its_name(three_versions, file, damage):
    path = three_versions.show("speech:2").directory / file
    if damage == "remove":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(PackageError, match=rf"speech:2 is damaged.*{file}"):
        three_versions.resolve("speech:2")
    with pytest.raises(PackageError, match=file):
        three_versions.promote("speech:2", "production")
    problems = {str(result.version): result.problem for result in three_versions.verify_all()}
    assert file in problems.pop("speech:2")
    assert problems == {"speech:1": None, "speech:3": None}


def test_a_whole_other_package_in_the_place_of_a_stored_one_is_refused(three_versions):
    one, two = (three_versions.show(f"speech:{number}").directory for number in (1, 2))
    shutil.rmtree(one)
    shutil.copytree(two, one)
    with pytest.raises(PackageError, match="speech:1 is damaged"):
        three_versions.resolve("speech:1")


def test_unknown_references_say_what_exists(models, make_package):
    with pytest.raises(UnknownModelError, match="nothing is registered yet"):
        models.resolve("speech")
    models.register(make_package("a"), "speech")
    models.register(make_package("b"), "music")
    with pytest.raises(UnknownModelError, match="no model 'sing'; registered are: music, speech"):
        models.resolve("sing")
    with pytest.raises(UnknownModelError, match="no version 7 of 'speech'; registered are: 1"):
        models.resolve("speech:7")
    with pytest.raises(UnknownModelError, match=r"no alias 'production' of 'speech'.*aliases: none yet.*versions: 1"):
        models.resolve("speech")
    models.promote("speech:1", "production")
    with pytest.raises(UnknownModelError, match=r"no alias 'candidate'.*production \(version 1\)"):
        models.resolve("speech@candidate")


def test_another_process_sees_what_this_one_did(three_versions):
    three_versions.promote("speech:2", "production")
    other = Registry.open()
    assert other.list() == three_versions.list()
    assert other.resolve("speech").version == 2


def test_a_version_can_be_written_as_json(three_versions):
    version = three_versions.show("speech:1")
    assert json.loads(json.dumps(version.to_json()))["directory"] == str(version.directory)
