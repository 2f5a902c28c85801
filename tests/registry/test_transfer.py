"""Exports and imports: whole or refused, with reports and the note, by folder or URL."""

import json
import secrets
import shutil

import fsspec
import pytest

from codec.errors import PackageError, RegistryError, UnknownModelError
from registry.registry import Registry
from registry.resolve import find_package
from registry.storage.location import Location
from registry.transfer import export_version, import_version

FILES = ["SHA256SUMS", "codec.json", "lineage.json", "metrics.json", "model.safetensors"]
REPORT = ["card-speech-1.json", "card-speech-1.md", "curves_pesq.png", "summary.json"]


@pytest.fixture
def database():
    """The default one alone: what is tested here is files."""


@pytest.fixture(params=["folder", "memory"])
def place(request, tmp_path):
    """Where an export goes: a folder, or what is on no disk, as an object store's prefix."""
    url = f"memory://{secrets.token_hex(4)}/out"
    yield Location(str(tmp_path / "out") if request.param == "folder" else url)
    Location(url).remove()


@pytest.fixture
def package(make_package):
    return make_package()


@pytest.fixture
def exported(models, package, make_report, place):
    """speech:1 with a report, exported."""
    models.register(package, "speech", note="first run on 40 h")
    models.attach("speech:1", make_report(package), note="spring")
    export_version(models, "speech:1", place.url)
    return place


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Go to a registry that has nothing."""

    def go():
        monkeypatch.setenv("NACRE_HOME", str(tmp_path / "elsewhere"))
        monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "elsewhere" / "bentoml"))
        return Registry.open()

    return go


def change(location, name, data):
    files, root = fsspec.core.url_to_fs(location.url)
    files.pipe_file(f"{root}/{name}", data)


def test_an_export_has_the_package_its_reports_and_what_it_was(exported, models, package):
    reports = [f"reports/1/{file}" for file in REPORT]
    assert exported.walk() == sorted([*FILES, *reports, "version.json"])
    assert exported.read("codec.json", 10_000) == (package / "codec.json").read_bytes()
    said = json.loads(exported.read("version.json", 10_000))
    version = models.show("speech:1")
    assert (said["name"], said["version"], said["note"]) == ("speech", 1, "first run on 40 h")
    assert (said["created"], said["created_by"]) == (version.created, version.created_by)
    assert said["content_hash"] == version.content_hash
    assert said["reports"][0]["note"] == "spring"


def test_what_was_exported_is_imported_with_its_reports(exported, models, elsewhere):
    before = models.show("speech:1")
    other = elsewhere()
    imported = import_version(other, exported.url, "voice")
    version = imported.registration.version
    assert (str(version), imported.registration.is_new, imported.new_reports) == ("voice:1", True, 1)
    assert (version.content_hash, version.metrics) == (before.content_hash, before.metrics)
    assert version.note.startswith(f"imported from {exported.path or exported}, where {before.created_by} registered")
    assert version.note.endswith(f"it as speech:1 ({before.created}): first run on 40 h")
    (report,) = other.reports(version)
    assert sorted(report.hashes) == REPORT
    assert report.note.startswith("spring; first attached by ")
    other.verify(version)


def test_the_same_content_is_the_version_that_is_there(exported, models, run):
    again = import_version(models, exported.url, "speech")
    assert (again.registration.is_new, again.new_reports) == (False, 0)
    assert again.registration.version == models.show("speech:1")
    assert run("import", exported.url, "--name", "speech").stdout.startswith("speech:1 is this package already")


def test_reports_that_a_version_lacks_are_added(exported, elsewhere, package, run):
    other = elsewhere()
    other.register(package, "speech")
    assert run("import", exported.url, "--name", "speech").stdout.endswith(": 1 report added\n")
    assert len(other.reports(other.show("speech:1"))) == 1


@pytest.mark.parametrize("file", [*FILES, "reports/1/summary.json"])
@pytest.mark.parametrize("damage", ["alter", "remove"])
def test_an_altered_or_missing_file_is_refused_by_its_name(exported, elsewhere, file, damage):
    if damage == "remove":
        exported.remove(file)
    else:
        change(exported, file, exported.read(file, 1 << 20)[:-1] + b"x")
    other = elsewhere()
    problem = rf"'{exported}/{file}' (was altered|is missing|is not the)"
    with pytest.raises((PackageError, RegistryError), match=problem):
        import_version(other, exported.url, "speech")
    assert other.list() == []


def test_a_file_too_many_in_a_report_is_refused(exported, elsewhere):
    change(exported, "reports/1/index.html", b"<script>")
    with pytest.raises(RegistryError, match=r"reports/1/index\.html' doesn't belong there"):
        import_version(elsewhere(), exported.url, "speech")


@pytest.mark.parametrize(
    "change_it",
    [
        lambda data: data | {"format_version": 2},
        lambda data: data | {"note": "\x1b[2J"},
        lambda data: data | {"content_hash": "0"},
        lambda data: data | {"reports": [{"note": ""}]},
        lambda data: data | {"reports": [data["reports"][0] | {"hashes": {"../../.bashrc": "0" * 64}}]},
        lambda data: [data],
    ],
)
def test_a_version_file_that_is_none_is_refused(exported, elsewhere, change_it):
    data = json.loads(exported.read("version.json", 10_000))
    change(exported, "version.json", json.dumps(change_it(data)).encode())
    other = elsewhere()
    with pytest.raises(RegistryError, match=r"version\.json' is not what 'nacre registry export' wrote"):
        import_version(other, exported.url, "speech")
    assert other.list() == []


def test_a_package_alone_is_imported_too(models, package, place):
    for path in package.iterdir():
        place.store(path.name, path)
    place.write("README.md", b"what a user put beside it")
    version = import_version(models, place.url, "speech").registration.version
    assert version.note == f"imported from {place.path or place}"
    assert models.resolve("speech:1").metrics == {"mel_distance": 1.25, "si_sdr_db": 3.5}


def test_tables_that_the_sums_do_not_list_are_refused(models, package, place):
    for path in package.iterdir():
        place.store(path.name, path)
    place.write("entropy.safetensors", b"tables")
    with pytest.raises(PackageError, match=r"entropy\.safetensors' is not listed in SHA256SUMS"):
        import_version(models, place.url, "speech")


def test_what_is_there_is_never_overwritten(exported, models, make_package):
    models.register(make_package("b"), "speech")
    before = exported.walk()
    with pytest.raises(RegistryError, match="exists already: choose another place, or remove it"):
        export_version(models, "speech:2", exported.url)
    assert exported.walk() == before


def test_a_folder_appears_whole_or_not_at_all(models, package, tmp_path, monkeypatch):
    models.register(package, "speech")

    def fail(self, name, data):
        raise RegistryError("the disk is full")

    monkeypatch.setattr(Location, "write", fail)
    with pytest.raises(RegistryError, match="the disk is full"):
        export_version(models, "speech:1", str(tmp_path / "exports" / "out"))
    assert list((tmp_path / "exports").iterdir()) == []


def test_a_damaged_version_is_not_exported(models, package, tmp_path):
    version = models.register(package, "speech")
    (version.directory / "metrics.json").write_text("{}")
    with pytest.raises(PackageError, match=r"metrics\.json"):
        export_version(models, "speech:1", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    with pytest.raises(UnknownModelError, match="no version 2"):
        export_version(models, "speech:2", str(tmp_path / "out"))


def test_an_exported_folder_is_a_package_itself(models, package, tmp_path, run, monkeypatch):
    models.register(package, "speech")
    monkeypatch.chdir(tmp_path)
    assert run("export", "speech:1", "out").stdout == "exported speech:1 with 0 reports\n"
    assert find_package("out").version is None
    assert models.register_or_find(tmp_path / "out", "speech").is_new is False


def test_the_commands_say_what_they_did(exported, elsewhere, run):
    elsewhere()
    said = run("import", exported.url, "--name", "speech").stdout
    assert said.startswith("registered speech:1 (fingerprint ")
    assert said.endswith(") with 1 report\n")
    shutil.rmtree(exported.path) if exported.path else exported.remove()
    assert run("export", "speech:1", exported.url).stdout == "exported speech:1 with 1 report\n"
    again = run("import", f"{exported}/nothing", "--name", "speech")
    assert (again.status, again.error) == (1, f"nacre: there is nothing at '{exported}/nothing'")
    assert run("import", exported.url, "--name", "No Name").error.startswith("nacre: 'No Name' can't be a model's name")
