"""Many processes at once, and processes killed anywhere: no lost update, no half version."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("processes.py")


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


@pytest.mark.slow
def test_killed_anywhere_leaves_versions_and_reports_whole_or_absent(run_program, make_package, make_report, tmp_path):
    seed = random.randrange(10**6)  # noqa: S311  # any spread will do
    print(f"seed {seed}")
    packages = [make_package(f"run-{index}") for index in range(12)]
    for package in packages:
        make_report(package, f"report-{package.name}")
    reports = run_program("crash", *packages, "--homes", tmp_path / "homes", "--seed", seed)

    assert all(report["killed"] for report in reports[:-3]), "the kills came too late to test anything"
    for index, report in enumerate(reports):
        after, end = report["after"], report["finally"]
        assert after["problems"] == [], report
        assert after["production"] == [pair[1] for pair in after["history"]][-1:], report
        assert end["problems"] == [], report
        assert end["versions"] == list(range(1, len(end["versions"]) + 1)), report
        assert end["reports"] == [1] * len(end["versions"]), report
        assert end["runs"].count(f"run-{index}") == 1, report
        assert end["production"] == [report["rerun"]["version"]], report
        assert len(end["history"]) == len(end["versions"]), report
