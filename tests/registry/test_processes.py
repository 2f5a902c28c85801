"""Many processes at once, and processes killed anywhere: no lost update, no half version."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from registry.database import SCHEMA_VERSION, SchemaRow
from registry.registry import Registry

PROGRAM = Path(__file__).with_name("processes.py")
# As there.
KEEP, WARM_UP = 2, 4


@pytest.fixture
def run_program(tmp_path):
    """Run the program beside this file; what killed children leave in the temporary folder goes with the test's."""
    return lambda *arguments: _run(arguments, tmp_path)


def _run(arguments, temporary):
    command = [sys.executable, PROGRAM, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "TMPDIR": str(temporary)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_eight_processes_register_and_promote_without_losing_anything(run_program, make_package, models):
    packages = [make_package(f"own-{index}") for index in range(8)]
    (reports,) = run_program("race", *packages, "--shared", make_package("shared"))

    assert len({report["shared"] for report in reports}) == 1, "one package became several versions"
    assert sorted({report["own"] for report in reports} | {reports[0]["shared"]}) == list(range(1, 10))
    assert [version.version for version in models.list()] == list(range(1, 10))
    assert [result.problem for result in models.verify_all()] == [None] * 9

    history = models.history("speech")
    assert sorted(change.version for change in history) == sorted(report["own"] for report in reports)
    assert [change.previous for change in history] == [None, *(change.version for change in history[:-1])]
    assert models.show("speech").version == history[-1].version


@pytest.mark.parametrize("old", [False, True])
def test_eight_processes_open_a_registry_that_is_to_be_made_or_migrated(
    run_program, new_database, load_first, monkeypatch, old
):
    urls = [new_database() for _ in range(9)]
    for url in urls if old else []:
        load_first(sa.create_engine(url, poolclass=sa.NullPool))
    run_program("open", "--urls", *urls)
    for url in urls:
        monkeypatch.setenv("NACRE_REGISTRY_URL", url)
        assert len(Registry.open().list()) == (2 if old else 0)
        with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
            assert connection.scalars(sa.select(SchemaRow.version)).all() == [SCHEMA_VERSION]


def test_killed_anywhere_leaves_a_registry_migrated_or_as_it_was(
    run_program, new_database, load_first, tmp_path, monkeypatch
):
    seed = random.randrange(10**6)  # noqa: S311  # any spread will do
    print(f"seed {seed}")
    urls = [new_database() for _ in range(12)]
    for url in urls:
        load_first(sa.create_engine(url, poolclass=sa.NullPool))
    reports = run_program("migrate", "--urls", *urls, "--homes", tmp_path / "homes", "--seed", seed)
    assert [report["killed"] for report in reports] == [True] * 10

    for url, report in zip(urls[2:], reports, strict=True):
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            schema = connection.scalars(sa.select(SchemaRow.version)).one()
        assert (schema, "removals" in sa.inspect(engine).get_table_names()) in [(1, False), (3, True)], report
        monkeypatch.setenv("NACRE_REGISTRY_URL", url)
        models = Registry.open()
        assert [len(models.list()), len(models.history("speech"))] == [2, 4], report


@pytest.mark.slow
def test_killed_anywhere_leaves_versions_and_reports_whole_or_absent(
    run_program, make_package, make_report, tmp_path, database
):
    seed = random.randrange(10**6)  # noqa: S311  # any spread will do
    print(f"seed {seed}")
    packages = [make_package(f"run-{index}") for index in range(WARM_UP + 50)]
    for package in packages:
        make_report(package, f"report-{package.name}")
    reports = run_program("crash", *packages, "--homes", tmp_path / "homes", "--seed", seed)

    assert len(reports) == 50
    assert sum(report["killed"] for report in reports) >= 40, "the kills came too late to test anything"
    assert sum(bool(report["rerun"]["gone"]) for report in reports) > 10, "gc had nothing to do"
    for index, report in enumerate(reports, WARM_UP):
        after, end = report["after"], report["finally"]
        assert after["problems"] == end["problems"] == [], report
        assert after["production"] == [pair[1] for pair in after["history"]][-1:], report
        assert end["production"] == end["versions"][-1:] == [report["rerun"]["version"]], report
        assert end["reports"] == [1] * len(end["versions"]), report
        assert end["runs"][-1] == f"run-{index}", report
        assert [pair[1] for pair in end["history"]] == list(range(1, end["versions"][-1] + 1)), report
        assert len(end["versions"]) <= KEEP, report
        assert report["leftovers"] == 0, report
