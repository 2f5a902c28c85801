"""What gc takes, what it never takes, and what it leaves to tell of what it took."""

import getpass
import json

import pytest

from codec.errors import UnknownModelError
from registry.registry import Registry
from registry.storage.store import PackageStore
from registry.upkeep import Upkeep


@pytest.fixture
def upkeep(models):
    return Upkeep.open()


@pytest.fixture
def six_versions(models, make_package):
    """A registry with speech:1 to speech:6."""
    for run in "abcdef":
        models.register(make_package(run), "speech")
    return models


def numbers(models, name="speech"):
    return [version.version for version in models.list() if version.name == name]


def test_the_newest_stay(six_versions, upkeep):
    folders = {version.version: version.directory for version in six_versions.list()}
    gone = upkeep.collect(2)
    assert [str(version) for version in gone] == [f"speech:{number}" for number in (1, 2, 3, 4)]
    assert numbers(six_versions) == [5, 6]
    assert [number for number, folder in folders.items() if folder.exists()] == [5, 6]
    assert [result.problem for result in six_versions.verify_all()] == [None, None]
    assert upkeep.collect(2) == []


def test_what_an_alias_points_to_stays_and_what_a_rollback_would_lead_to(six_versions, upkeep):
    for number in (1, 2, 3, 4):
        six_versions.promote(f"speech:{number}", "production")
    six_versions.rollback("speech", "production")  # to 3, and a rollback would lead to 2
    six_versions.promote("speech:1", "candidate")
    upkeep.collect(1)
    assert numbers(six_versions) == [1, 2, 3, 6]
    assert six_versions.rollback("speech", "production").version == 2


def test_history_stays_whole(six_versions, upkeep):
    for number in (1, 2, 3):
        six_versions.promote(f"speech:{number}", "production")
    before = six_versions.history("speech")
    upkeep.collect(1)
    assert six_versions.history("speech") == before
    assert numbers(six_versions) == [2, 3, 6]


def test_a_number_is_never_given_again(three_versions, make_package, upkeep):
    upkeep.collect(1)
    assert three_versions.register(make_package("d"), "speech").version == 4
    assert three_versions.register(make_package("again"), "speech").version == 5
    assert numbers(three_versions) == [3, 4, 5]


def test_a_package_that_was_collected_can_be_registered_again_under_another_number(three_versions, upkeep, tmp_path):
    upkeep.collect(1)
    assert three_versions.register(tmp_path / "package-a", "speech").version == 4
    assert three_versions.resolve("speech:4").lineage["run"] == "a"
    with pytest.raises(UnknownModelError, match="was collected"):
        three_versions.show("speech:1")


def test_a_collected_version_is_remembered_with_when_who_and_why(three_versions, upkeep):
    upkeep.collect(1, why="the disk\nis full")
    who, when = getpass.getuser(), r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"
    expected = rf"^version 1 of 'speech' was collected on {when} by {who} \(the disk is full\); registered are: 3$"
    for call in (three_versions.show, three_versions.resolve, lambda text: three_versions.promote(text, "production")):
        with pytest.raises(UnknownModelError, match=expected):
            call("speech:1")


def test_a_rollback_to_a_collected_version_says_so_and_changes_nothing(six_versions, upkeep):
    for number in (1, 2, 3):
        six_versions.promote(f"speech:{number}", "production")
    upkeep.collect(1, why="old")
    six_versions.rollback("speech", "production")
    before = six_versions.history("speech")
    message = r"'speech@production' can't go back to version 1: version 1 of 'speech' was collected on .* \(old\)"
    with pytest.raises(UnknownModelError, match=message):
        six_versions.rollback("speech", "production")
    assert six_versions.show("speech").version == 2
    assert six_versions.history("speech") == before


def test_names_are_apart(six_versions, make_package, upkeep, run):
    for name in "xyz":
        six_versions.register(make_package(name), "music")
    upkeep.collect(2, "music")
    assert (numbers(six_versions, "music"), numbers(six_versions)) == ([2, 3], [1, 2, 3, 4, 5, 6])
    upkeep.collect(1)
    assert (numbers(six_versions, "music"), numbers(six_versions)) == ([3], [6])


def test_reports_go_with_their_version_and_no_others(models, make_package, make_report, upkeep, private_home):
    for run in "ab":
        package = make_package(run)
        version = models.register(package, "speech")
        models.attach(str(version), make_report(package, f"report-{run}"))
    upkeep.collect(1)
    assert [path.name for path in (private_home / "bentoml" / "reports" / "speech").iterdir()] == ["2"]
    assert len(models.reports(models.show("speech:2"))) == 1
    assert upkeep.leftovers() == []


def test_what_was_collected_between_looking_and_promoting_is_not_promoted(three_versions, upkeep, monkeypatch):
    get = PackageStore.get

    def collect_after(*arguments):
        get(*arguments)
        upkeep.collect(1)

    monkeypatch.setattr(PackageStore, "get", collect_after)
    with pytest.raises(UnknownModelError, match="version 1 of 'speech' was collected"):
        three_versions.promote("speech:1", "production")
    assert three_versions.history("speech") == ()


def test_no_report_is_kept_with_a_version_that_was_collected_meanwhile(
    three_versions, upkeep, make_report, tmp_path, monkeypatch, run
):
    from registry.storage.report_store import write_bytes

    def collect_before(path, data):
        upkeep.collect(1)
        write_bytes(path, data)

    monkeypatch.setattr("registry.storage.report_store.write_bytes", collect_before)
    with pytest.raises(UnknownModelError, match="version 1 of 'speech' was collected"):
        three_versions.attach("speech:1", make_report(tmp_path / "package-a"))
    assert run("fsck", "--repair").status == 0
    assert run("fsck").status == 0


def test_the_command_prints_what_went_and_what_it_took(run, six_versions):
    six_versions.promote("speech:5", "production")
    sizes = [sum(path.stat().st_size for path in version.directory.iterdir()) for version in six_versions.list()[:4]]
    dry = run("gc", "--keep", 1, "--dry-run")
    assert numbers(six_versions) == [1, 2, 3, 4, 5, 6]
    real = run("gc", "--keep", 1, "--name", "speech", "--why", "old")
    assert numbers(six_versions) == [5, 6]
    title, header, *rows = [line.split("\t") for line in real.stdout.splitlines()]
    assert title == [f"# removed: 4 versions, {sum(sizes):,} bytes"]
    assert header == ["version", "created", "note", "bytes"]
    assert [(row[0], int(row[3])) for row in rows] == [(f"speech:{index}", size) for index, size in enumerate(sizes, 1)]
    assert dry.stdout == real.stdout.replace("# removed", "# would be removed")
    assert run("gc", "--keep", 1).stdout.splitlines()[0] == "# removed: 0 versions, 0 bytes"


def test_another_process_reads_on_while_versions_go(six_versions, upkeep):
    other = Registry.open()
    results = other.verify_all()
    first = next(results)
    upkeep.collect(1)
    assert [str(first.version), *(str(result.version) for result in results)] == ["speech:1", "speech:6"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--keep", 1, "--name", "music"), 1, "nacre: no model 'music'; registered are: speech"),
        (("--keep", 0), 2, "Usage: "),
        ((), 2, "Usage: "),
    ],
)
def test_wrong_arguments_change_nothing(run, three_versions, arguments, status, message):
    outcome = run("gc", *arguments)
    assert outcome.status == status
    assert outcome.stderr.startswith(message)
    assert len(json.loads(run("list", "--json").stdout)) == 3
