"""Database and store compared: what is wrong is named, and only what is nobody's is ever removed."""

import os
import shutil
import threading
import time

import pytest
import sqlalchemy as sa

from registry.registry import Registry
from registry.storage import shared_store
from registry.upkeep import Upkeep


def columns(outcome):
    """Return the table that was printed, without its title and its names of columns."""
    lines = [line.split("\t") for line in outcome.stdout.splitlines()]
    return [line for line in lines if len(line) == 3 and line[0] != "what"]


def killed(*_):
    """Stand for a kill: nothing is tidied up after it."""
    raise KeyboardInterrupt


@pytest.fixture
def leftover_package(three_versions, make_package, private_home, monkeypatch):
    """A package that was stored whole by a process that died before it could commit the row."""
    before = set((private_home / "bentoml" / "models").glob("*/*/"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("registry.registry.now", killed)
        three_versions.register(make_package("killed"), "speech")
    (folder,) = set((private_home / "bentoml" / "models").glob("*/*/")) - before
    return folder


@pytest.fixture
def leftover_report(models, make_package, make_report, private_home, monkeypatch):
    """A report of music:1, left in the same way."""
    package = make_package("reported")
    models.register(package, "music")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("registry.reports.now", killed)
        models.attach("music:1", make_report(package))
    (folder,) = (private_home / "bentoml" / "reports").glob("*/*/*/")
    return folder


def test_nothing_is_wrong_with_a_registry_in_use(run, three_versions, make_package, make_report):
    package = make_package("reported")
    three_versions.register(package, "speech")
    three_versions.attach("speech:4", make_report(package))
    three_versions.promote("speech:2", "production")
    for arguments in ((), ("--repair",)):
        outcome = run("fsck", *arguments)
        assert (outcome.status, outcome.stdout) == (0, "nothing is wrong; versions verified: 4\n")


def test_an_empty_registry_is_in_order(run):
    assert run("fsck", "--repair").stdout == "nothing is wrong; versions verified: 0\n"


def test_what_a_killed_registration_left_is_reported_and_removed_on_request(run, models, leftover_package):
    outcome = run("fsck")
    assert outcome.status == 1
    ((what, where, why),) = columns(outcome)
    assert (what, where) == ("leftover", str(leftover_package))
    assert why.startswith("left by a process that was killed (")
    assert leftover_package.is_dir()

    repaired = run("fsck", "--repair")
    assert repaired.status == 0
    assert columns(repaired) == [[what, where, why]]
    assert not leftover_package.exists()
    assert [result.problem for result in models.verify_all()] == [None] * 3
    assert run("fsck").status == 0


def test_what_a_killed_registration_left_can_be_registered_again_first(run, models, leftover_package):
    assert models.register(leftover_package, "speech").version == 4
    assert run("fsck", "--repair").status == 0
    assert models.resolve("speech:4").directory != leftover_package
    assert not leftover_package.exists()


def test_what_a_killed_attaching_left_is_removed(run, models, leftover_report):
    assert [line[:2] for line in columns(run("fsck"))] == [["leftover", str(leftover_report)]]
    assert run("fsck", "--repair").status == 0
    assert not leftover_report.exists()
    assert run("fsck").status == 0


def test_half_a_package_is_removed_as_a_whole_one_is(run, leftover_package):
    (leftover_package / "SHA256SUMS").unlink()
    assert run("fsck", "--repair").status == 0
    assert not leftover_package.exists()


def test_what_is_being_stored_just_now_is_left_alone(run, models, make_package, private_home, monkeypatch):
    stored, go_on = threading.Event(), threading.Event()

    def wait(_):
        stored.set()
        assert go_on.wait(60)

    package = make_package()
    with monkeypatch.context() as patch:
        patch.setattr("registry.storage.store.sync_directory", wait)
        thread = threading.Thread(target=models.register, args=(package, "speech"))
        thread.start()
        assert stored.wait(60)
        assert list((private_home / "bentoml" / "models").glob("*/*/")), "nothing is stored yet"
        outcome = run("fsck", "--repair")
        go_on.set()
        thread.join(60)
    assert (outcome.status, outcome.stdout) == (0, "nothing is wrong; versions verified: 0\n")
    assert models.resolve("speech:1").version == 1
    assert run("fsck").status == 0


def test_versions_of_another_database_in_the_same_store_are_never_removed(run, three_versions, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("NACRE_REGISTRY_URL", f"sqlite:///{tmp_path / 'other.db'}")
        outcome = run("fsck", "--repair")
    assert outcome.status == 1
    found = columns(outcome)
    assert [line[0] for line in found] == ["unknown"] * 3
    assert {line[1] for line in found} == {str(version.directory) for version in three_versions.list()}
    assert [result.problem for result in three_versions.verify_all()] == [None] * 3


def test_models_that_bentoml_has_of_others_are_none_of_ours(run, three_versions, private_home):
    foreign = private_home / "bentoml" / "models" / "resnet" / "q3gk4yx2yox4sfzj"
    foreign.mkdir(parents=True)
    (foreign.parent / "latest").write_text(foreign.name)
    assert run("fsck", "--repair").status == 0
    assert foreign.is_dir()


def test_what_a_killed_gc_left_is_removed(run, three_versions, monkeypatch):
    doomed = three_versions.show("speech:1").directory
    with monkeypatch.context() as patch:
        patch.setattr("registry.storage.folders.remove_folder", lambda _: None)
        assert run("gc", "--keep", 2).error.startswith(f"nacre: '{doomed}' can't be removed")
    ((what, where, why),) = columns(run("fsck"))
    assert (what, where) == ("leftover", str(doomed))
    assert why.startswith("of a version that was collected (")
    assert run("fsck", "--repair").status == 0
    assert not doomed.exists()
    assert [version.version for version in three_versions.list()] == [2, 3]


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A folder that machines share as their store."""
    monkeypatch.setenv("NACRE_STORE_URL", str(tmp_path / "shared"))
    return tmp_path / "shared"


def test_a_shared_store_is_looked_at_too_and_what_is_elsewhere_is_not_missing(
    run, shared, three_versions, tmp_path, monkeypatch
):
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "elsewhere"))
    assert run("fsck", "--repair").stdout == "nothing is wrong; versions verified: 3\n"
    folder = three_versions.show("speech:2").directory
    (shared / "models" / "speech" / folder.name / "metrics.json").write_text("{}")
    ((what, where, why),) = columns(run("fsck"))
    assert (what, where) == ("damaged", "speech:2")
    assert str(shared) in why


def test_what_a_killed_registration_left_in_a_shared_store_goes_once_nobody_can_be_at_it(
    run, shared, leftover_package, monkeypatch
):
    copy = shared / "models" / "speech" / leftover_package.name
    mark = copy.with_name(f"{copy.name}.unfinished")
    assert [line[:2] for line in columns(run("fsck", "--repair"))] == [["leftover", str(leftover_package)]]
    assert copy.is_dir(), "another machine may just be storing it"
    long_ago = time.time() - shared_store.GIVEN_UP_S - 60
    os.utime(mark, (long_ago, long_ago))
    assert [line[:2] for line in columns(run("fsck"))] == [["leftover", str(copy)]]
    assert run("fsck", "--repair").status == 0
    assert not copy.exists()
    assert not mark.exists()


def test_what_a_killed_gc_left_in_a_shared_store_is_removed(run, shared, three_versions, monkeypatch):
    name = three_versions.show("speech:1").directory.name
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("registry.storage.shared_store.SharedStore.remove", killed)
        Upkeep.open().collect(2)
    copy = shared / "models" / "speech" / name
    ((what, where, why),) = columns(run("fsck"))
    assert (what, where) == ("leftover", str(copy))
    assert why.startswith("of a version that was collected (")
    assert run("fsck", "--repair").status == 0
    assert sorted(path.name for path in copy.parent.iterdir()) == sorted(
        version.directory.name for version in three_versions.list()
    )


def test_every_damage_is_named_and_none_is_repaired(run, three_versions, make_package, make_report):
    package = make_package("reported")
    three_versions.register(package, "speech")
    report = three_versions.attach("speech:4", make_report(package)).report
    (three_versions.show("speech:1").directory / "metrics.json").write_text("{}")
    shutil.rmtree(three_versions.show("speech:2").directory)
    report.card.unlink()
    for arguments in ((), ("--repair",)):
        outcome = run("fsck", *arguments)
        assert outcome.status == 1
        assert [line[:2] for line in columns(outcome)] == [["damaged", f"speech:{number}"] for number in (1, 2, 4)]
        altered, missing, of_report = (line[2] for line in columns(outcome))
        assert "metrics.json" in altered
        assert "there is no package folder" in missing
        assert report.card.name in of_report
        assert len(three_versions.list()) == 4


def test_an_alias_that_points_to_no_version_is_named(run, models, make_package, engine):
    models.promote(str(models.register(make_package(), "speech")), "production")
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("ALTER TABLE aliases DROP CONSTRAINT aliases_name_version_fkey"))
        connection.execute(sa.text("UPDATE aliases SET version = 9"))
    outcome = run("fsck")
    assert outcome.status == 1
    assert columns(outcome) == [["lost", "speech@production -> 9", "there is no such version"]]


def test_a_mark_that_outlived_its_registration_takes_nothing_away(run, models, make_package, monkeypatch):
    package = make_package()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("registry.storage.unfinished.remove_mark", killed)
        models.register(package, "speech")
    assert Registry.open().register(package, "speech").version == 1
    assert run("fsck", "--repair").stdout == "nothing is wrong; versions verified: 1\n"
    assert models.resolve("speech:1").version == 1
