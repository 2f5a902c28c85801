"""A store that machines share: what one registers, another fetches, whole or not at all. Machines are homes here."""

import concurrent.futures
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from codec.errors import MissingToolError, PackageError, RegistryError
from codec.weights import load_package
from registry.registry import Registry
from registry.storage import manifest
from registry.storage.location import Location
from registry.upkeep import Upkeep

FILES = ["codec.json", "lineage.json", "metrics.json", "model.safetensors", "SHA256SUMS"]
REPORT = {"card-speech-1.json", "card-speech-1.md", "curves_pesq.png", "summary.json"}


@pytest.fixture
def database():
    """The default one alone: what is tested here is files."""


@pytest.fixture(params=["folder", "memory"])
def url(request, tmp_path, monkeypatch):
    """A shared store: a folder, and one that is on no disk, as an object store's prefix."""
    memory = f"memory://{secrets.token_hex(4)}/nacre"
    url = str(tmp_path / "shared") if request.param == "folder" else memory
    monkeypatch.setenv("NACRE_STORE_URL", url)
    yield url
    Location(memory).remove()


@pytest.fixture
def on(tmp_path, monkeypatch):
    """Go to a machine, which has the database and a home of its own, and open the registry there."""

    def go(name):
        monkeypatch.setenv("BENTOML_HOME", str(tmp_path / name))
        return Registry.open()

    return go


@pytest.fixture
def package(make_package):
    return make_package()


@pytest.fixture
def registered(url, on, package):
    """speech:1, registered on machine a."""
    return on("a").register(package, "speech")


def shared(url, version):
    """Return where a version's files are shared."""
    return Location(url) / "models" / version.name / version.directory.name


def change(location, name, data):
    files, root = fsspec.core.url_to_fs(location.url)
    files.pipe_file(f"{root}/{name}", data)


def everything(url):
    return sorted(Location(url).walk())


def stored(home):
    """Return every package of speech on a machine, whole or half, and what it is fetching."""
    found = [*home.glob("models/speech/*"), *home.glob("fetching/*")]
    return sorted(path for path in found if path.name != "latest")  # BentoML's


def test_what_one_machine_registers_another_fetches(url, on, registered):
    assert everything(url) == sorted(f"models/speech/{registered.directory.name}/{file}" for file in FILES)
    there = on("b").resolve("speech:1")
    assert there.content_hash == registered.content_hash
    assert there.directory != registered.directory
    for file in FILES:
        assert (there.directory / file).read_bytes() == (registered.directory / file).read_bytes()
    assert load_package(there.directory).codec is not None
    assert there.directory.stat().st_mode == registered.directory.stat().st_mode


def test_bentoml_finds_what_was_fetched(url, on, registered, tmp_path):
    from bentoml._internal.models import ModelStore

    there = on("b").resolve("speech:1")
    (model,) = ModelStore(tmp_path / "b" / "models").list()
    assert model.path == str(there.directory)
    assert model.info.metadata["fingerprint"] == registered.fingerprint


def test_what_is_here_needs_no_shared_store(url, on, registered, monkeypatch):
    on("b").resolve("speech:1")
    Location(url).remove()
    for machine in ("a", "b"):
        assert on(machine).resolve("speech:1").version == 1


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["alter", "remove"])
def test_an_altered_or_missing_object_is_refused_by_its_name(url, on, registered, tmp_path, file, damage):
    place = shared(url, registered)
    if damage == "remove":
        place.remove(file)
    else:
        change(place, file, b"0" * place.sizes()[file])
    problem = rf"speech:1 is damaged: '{place / file}' (was altered|is missing|is not the one)"
    other = on("b")
    with pytest.raises(PackageError, match=problem):
        other.resolve("speech:1")
    with pytest.raises(PackageError, match=problem):
        other.promote("speech:1", "production")
    assert stored(tmp_path / "b") == []
    for machine in ("a", "b"):
        (result,) = on(machine).verify_all()
        assert str(place / file) in result.problem
    assert on("a").resolve("speech:1").version == 1


def test_a_file_too_many_is_refused(url, on, registered, tmp_path):
    change(shared(url, registered), "custom_objects.pkl", b"pickle")
    with pytest.raises(PackageError, match=r"custom_objects\.pkl' doesn't belong there"):
        on("b").resolve("speech:1")
    assert stored(tmp_path / "b") == []


def test_what_is_larger_than_allowed_is_refused_before_it_is_read(url, on, registered, tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "MAX_PACKAGE_BYTES", 1000)
    monkeypatch.setattr(Location, "fetch", None)
    with pytest.raises(PackageError, match="bytes, at most 1,000 are taken"):
        on("b").resolve("speech:1")
    assert stored(tmp_path / "b") == []


def test_another_whole_package_in_its_place_is_refused(url, on, registered, make_package):
    other = on("a").register(make_package("other"), "speech")
    for file in FILES:
        change(shared(url, registered), file, (other.directory / file).read_bytes())
    with pytest.raises(PackageError, match=r"SHA256SUMS' is not the one that was registered"):
        on("b").resolve("speech:1")
    assert on("b").resolve("speech:2").version == 2


def test_what_became_something_else_on_its_way_is_no_version(on, make_package, tmp_path, monkeypatch):
    monkeypatch.setenv("NACRE_STORE_URL", str(tmp_path / "shared"))
    models = on("a")
    copy = shutil.copyfile

    def copy_badly(source, target, **options):
        copy(source, target, **options)
        if (tmp_path / "shared") in Path(target).parents:
            os.truncate(target, 3)

    monkeypatch.setattr("registry.storage.location.shutil.copyfile", copy_badly)
    with pytest.raises(PackageError, match=r"/shared/models/speech/.*' was altered"):
        models.register(make_package(), "speech")
    assert models.list() == []
    assert stored(tmp_path / "a") == []
    assert everything(str(tmp_path / "shared")) == []


def test_a_store_that_cannot_be_written_is_one_clear_sentence(on, make_package, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("NACRE_STORE_URL", str(tmp_path / "file" / "shared"))
    models = on("a")
    with pytest.raises(
        RegistryError, match=r"file/shared/models/speech/.*can't be written .*Not a directory"
    ) as caught:
        models.register(make_package(), "speech")
    assert "\n" not in str(caught.value)
    assert models.list() == []
    assert stored(tmp_path / "a") == []


def test_what_was_registered_before_is_shared_by_a_command(run, on, make_package, make_report, tmp_path, monkeypatch):
    package = make_package()
    models = on("a")
    models.register(package, "speech")
    models.attach("speech:1", make_report(package))
    with pytest.raises(PackageError, match=r"is missing: restore it, or set NACRE_STORE_URL"):
        on("b").resolve("speech:1")
    on("a")
    assert run("share").error == "nacre: no store is shared: set NACRE_STORE_URL to a folder, or s3://BUCKET/PREFIX"

    monkeypatch.setenv("NACRE_STORE_URL", str(tmp_path / "shared"))
    with pytest.raises(PackageError, match="run 'nacre registry share' on a machine that has it"):
        on("b").resolve("speech:1")
    assert run("share").stdout == "nothing to share: the store has all that is here\n"
    on("a")
    assert run("verify", "speech:1").status == 1
    assert run("share").stdout == "shared speech:1\n"
    assert run("share").stdout == "nothing to share: the store has all that is here\n"
    on("b").resolve("speech:1")
    assert run("verify", "--all").stdout == "speech:1\tok\n"


def test_a_store_that_was_lost_is_filled_again(url, run, on, registered):
    Location(url).remove()
    on("a")
    assert run("share").stdout == "shared speech:1\n"
    assert on("b").resolve("speech:1").version == 1


def test_what_is_damaged_here_is_not_shared(url, run, on, registered):
    Location(url).remove()
    on("a")
    (registered.directory / "metrics.json").write_text("{}")
    assert run("share").error == f"nacre: speech:1 is damaged: '{registered.directory / 'metrics.json'}' was altered"
    assert everything(url) == []


def test_reports_travel_with_their_version(url, run, on, registered, package, make_report):
    kept = on("a").attach("speech:1", make_report(package)).report
    other = on("b")
    lines = run("show", "speech:1").stdout.splitlines()
    (card,) = [line.split("\t")[1] for line in lines if line.startswith("model card")]
    (there,) = other.reports(other.show("speech:1"))
    assert card == str(there.card)
    assert there.directory != kept.directory
    assert {path.name for path in there.directory.iterdir()} == REPORT
    assert there.card.read_bytes() == kept.card.read_bytes()
    assert not other.show("speech:1").directory.exists(), "a look at a version needs none of its weights"


def test_an_altered_report_is_refused_by_its_file(url, run, on, registered, package, make_report):
    kept = on("a").attach("speech:1", make_report(package)).report
    place = Location(url) / "reports" / "speech" / "1" / kept.directory.name
    change(place, "summary.json", b"{ }")
    other = on("b")
    shown = run("show", "speech:1")
    assert (shown.status, shown.error) == (0, f"nacre: '{place / 'summary.json'}' was altered")
    assert "metrics" in shown.stdout
    (there,) = other.reports(other.show("speech:1"))
    assert not there.directory.exists()
    assert "a report of speech:1 is damaged" in run("verify", "speech:1").error


def test_the_same_package_is_one_version_wherever_it_is_registered(url, on, registered, package):
    again = on("b").register_or_find(package, "speech")
    assert (again.is_new, again.version.version) == (False, 1)
    assert len(everything(url)) == len(FILES)


def test_what_gc_collects_goes_from_the_shared_store(url, on, registered, package, make_package, make_report):
    models = on("a")
    models.attach("speech:1", make_report(package))
    newest = models.register(make_package("b"), "speech")
    on("b").resolve("speech:1")
    Upkeep.open().collect(keep=1)
    assert everything(url) == sorted(f"models/speech/{newest.directory.name}/{file}" for file in FILES)


def test_processes_that_fetch_at_once_all_have_it(url, on, registered, tmp_path):
    other = on("b")
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: other.resolve("speech:1"), range(12)))
    assert {version.directory for version in found} == {found[0].directory}
    assert stored(tmp_path / "b") == [found[0].directory]


KILLED = """
import os, signal
from registry.storage.location import Location
from registry.registry import Registry

fetch = Location.fetch

def fetch_two(self, name, path, most_bytes):
    if len(list(path.parent.iterdir())) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return fetch(self, name, path, most_bytes)

Location.fetch = fetch_two
Registry.open().resolve("speech:1")
"""


def test_killed_while_fetching_leaves_nothing_that_counts(on, package, tmp_path, monkeypatch):
    monkeypatch.setenv("NACRE_STORE_URL", str(tmp_path / "shared"))
    on("a").register(package, "speech")
    other = on("b")
    killed = subprocess.run([sys.executable, "-c", KILLED], env=os.environ, timeout=120)
    assert killed.returncode == -9
    (left,) = stored(tmp_path / "b")
    assert left.parent.name == "fetching"
    assert not other.show("speech:1").directory.exists()
    version = other.resolve("speech:1")
    assert stored(tmp_path / "b") == [version.directory]


def test_a_killed_upload_is_marked_and_in_nobodys_way(url, on, package, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    models = on("a")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("registry.registry.now", killed)
        models.register(package, "speech")
    assert [name for name in everything(url) if name.endswith(".unfinished")]
    assert models.list() == []
    assert on("b").register(package, "speech").version == 1
    assert on("c").resolve("speech:1").version == 1


def test_a_url_that_needs_a_missing_package_names_the_extra(on, package, monkeypatch):
    def missing(*_, **__):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setenv("NACRE_STORE_URL", "s3://bucket/nacre")
    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(MissingToolError, match=r"'s3://bucket/nacre/.*pip install 'nacre\[s3\]'"):
        on("a").register(package, "speech")


def test_a_url_of_no_known_kind_is_refused(on, package, monkeypatch):
    monkeypatch.setenv("NACRE_STORE_URL", "nowhere://alice:secret@host/nacre")
    with pytest.raises(RegistryError, match=r"'nowhere://alice:\*\*\*@host/nacre/.*can't be opened") as caught:
        on("a").register(package, "speech")
    assert "secret" not in str(caught.value)
