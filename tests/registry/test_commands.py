import json
import subprocess
import sys

import pytest

COMMANDS = ["register", "list", "show", "attach", "promote", "rollback", "resolve", "verify", "fsck", "gc", "diff"]
COMMANDS += ["export", "import", "share", "push"]


@pytest.fixture
def promoted(three_versions):
    three_versions.promote("speech:1", "production")
    three_versions.promote("speech:2", "production", why="better")
    return three_versions


def test_register_says_whether_the_version_is_new(run, make_package):
    package = make_package()
    assert run("register", package, "--name", "speech").stdout.startswith("registered speech:1 ")
    again = run("register", package, "--name", "speech")
    assert again.status == 0
    assert "speech:1 is this package already" in again.stdout


def test_list_is_stable_and_tab_separated_off_a_terminal(run, promoted):
    header, *rows = [line.split("\t") for line in run("list").stdout.splitlines()]
    assert header == ["model", "aliases", "created", "fingerprint", "note"]
    assert [row[:2] for row in rows] == [["speech:1", ""], ["speech:2", "production"], ["speech:3", ""]]


def test_list_as_json(run, promoted):
    versions = json.loads(run("list", "--json").stdout)
    assert [version["aliases"] for version in versions] == [[], ["production"], []]
    assert versions[0]["content_hash"] == promoted.show("speech:1").content_hash


def test_an_empty_registry_lists_nothing(run):
    assert json.loads(run("list", "--json").stdout) == []
    assert run("list").stdout.count("\n") == 1


def test_show_tells_metrics_lineage_aliases_and_history(run, promoted):
    lines = run("show", "speech").stdout.splitlines()
    assert lines[0] == "# speech:2"
    assert "aliases\tproduction" in lines
    assert "mel_distance\t1.25" in lines
    assert f"data.index_sha256\t{'0' * 64}" in lines
    assert lines[-1].split("\t")[2:] == ["production", "promote 1 -> 2", "better"]
    shown = json.loads(run("show", "speech:2", "--json").stdout)
    assert shown["metrics"] == {"mel_distance": 1.25, "si_sdr_db": 3.5}
    assert [change["version"] for change in shown["history"]] == [1, 2]


def test_show_tells_what_a_version_is_for_and_where_its_card_is(run, models, make_package, make_report):
    package = make_package()
    models.register(package, "speech")
    assert "evaluated on\tnothing yet (nacre registry attach speech:1 REPORT)" in run("show", "speech:1").stdout
    attached = run("attach", "speech:1", make_report(package), "--note", "spring")
    assert attached.stdout.startswith("kept with speech:1: /")
    lines = run("show", "speech:1").stdout.splitlines()
    assert "evaluated on\tspeech (en): PESQ 1.52 at 1.5 kbps to 2.96 at 6.02 kbps, 24 clips" in lines
    assert f"model card\t{attached.stdout.split()[-1]}" in lines
    assert lines[lines.index("# reports") + 2].split("\t")[2] == "spring"
    (report,) = json.loads(run("show", "speech:1", "--json").stdout)["reports"]
    assert report["card"] == attached.stdout.split()[-1]
    again = run("attach", "speech:1", make_report(package, "again"))
    assert (again.status, "nothing changed" in again.stdout) == (0, True)


def test_verify_names_a_damaged_report(run, models, make_package, make_report):
    package = make_package()
    models.register(package, "speech")
    report = models.attach("speech:1", make_report(package)).report
    assert run("verify", "speech:1").status == run("verify", "--all").status == 0
    report.card.write_text("# the best model\n")
    for arguments in (("verify", "speech:1"), ("verify", "--all")):
        outcome = run(*arguments)
        assert outcome.status == 1
        assert outcome.error.endswith(f"a report of speech:1 is damaged: '{report.card}' was altered")
    assert run("resolve", "speech:1").status == 0


def test_promote_and_rollback_say_what_moved(run, promoted):
    assert run("promote", "speech:3", "production", "--expect", 2).stdout == "speech@production: 2 -> 3\n"
    assert run("promote", "speech:3", "production").stdout == "speech:3 is production already: nothing changed\n"
    assert run("rollback", "speech", "production", "--why", "clicks").stdout == "speech@production: 3 -> 2\n"
    assert run("promote", "speech:1", "candidate", "--expect", 0).stdout == "speech@candidate: none -> 1\n"


def test_resolve_prints_the_directory_alone(run, promoted):
    assert run("resolve", "speech@production").stdout == f"{promoted.show('speech:2').directory}\n"


def test_verify_names_each_damaged_version_and_fails(run, promoted):
    assert run("verify", "--all").status == 0
    assert run("verify", "speech").stdout == "speech:2\tok\n"
    for number, file in ((1, "codec.json"), (3, "lineage.json")):
        (promoted.show(f"speech:{number}").directory / file).write_text("{}")
    outcome = run("verify", "--all")
    assert (outcome.status, outcome.stdout) == (1, "speech:2\tok\n")
    first, second = outcome.stderr.splitlines()
    assert "speech:1" in first
    assert "codec.json" in first
    assert "speech:3" in second
    assert "lineage.json" in second
    assert run("verify", "speech:3").status == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("resolve", "music"), "nacre: no model 'music'; registered are: speech"),
        (("show", "speech@candidate"), "nacre: no alias 'candidate' of 'speech'"),
        (("resolve", "speech:x"), "nacre: 'x' in 'speech:x' is not a version"),
        (("promote", "speech:1", "production", "--expect", "9"), "nacre: 'speech@production' is at version 2, not 9"),
        (("rollback", "speech", "candidate"), "nacre: no alias 'candidate' of 'speech'"),
        (("register", "/nowhere", "--name", "speech"), "nacre: there is no package folder '/nowhere'"),
        (("register", ".", "--name", "No Name"), "nacre: 'No Name' can't be a model's name"),
    ],
)
def test_a_failure_is_one_line_and_status_1(run, promoted, arguments, message):
    outcome = run(*arguments)
    assert (outcome.status, outcome.stdout) == (1, "")
    assert outcome.error.startswith(message)


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify",),
        ("verify", "speech", "--all"),
        ("promote", "speech:1"),
        ("promote", "speech:1", "production", "--expect", "-1"),
        ("register", "."),
        ("nonsense",),
    ],
)
def test_a_usage_error_is_status_2(run, arguments):
    outcome = run(*arguments)
    assert (outcome.status, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith("Usage: ")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_of_the_command(run, command):
    help_text = run(command, "--help").stdout
    assert f"  Example:\n    nacre registry {command}" in help_text


def test_help_of_the_group_lists_every_command(run):
    listed = run("--help").stdout.partition("Commands:\n")[2].split("\n  ")
    assert sorted(line.split()[0] for line in listed if line.strip()) == sorted(COMMANDS)


def test_naming_needs_neither_torch_nor_bentoml_nor_alembic(three_versions):
    code = (
        "import sys, nacre\n"
        "sys.argv = ['nacre', 'registry', 'list']\n"
        "nacre.cli(standalone_mode=False)\n"
        "print(*{'torch', 'bentoml', 'alembic'} & set(sys.modules), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "\n"), result.stderr
    assert "speech:3" in result.stdout
