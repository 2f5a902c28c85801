import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from codec.errors import DataError
from data_pipelines.commands import data


def nacre(*arguments):
    """Run the real command and return (status, stdout, stderr)."""
    command = [sys.executable, "-m", "nacre", "data", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout, result.stderr


def test_build_then_inspect(tmp_path, make_corpus, write_noise):
    source, out = make_corpus(tmp_path / "audio"), tmp_path / "data"
    (source / "text.wav").write_text("hello")
    write_noise(source / "cd.flac", 2.5, 44100, channels=2, seed=77)
    options = ["--val-percent", "30", "--test-percent", "10", "--jobs", "1"]
    status, output, errors = nacre("build", source, "--out", out, *options)
    assert status == 0
    assert "rejected 1, undecodable" in output
    assert "screening: 15/15 files" in errors
    assert "writing: 3/3 shards" in errors

    status, output, _ = nacre("inspect", out, "--json")
    summary = json.loads(output)
    assert status == 0
    assert summary["rejected"] == {"undecodable": 1}
    assert summary["source_sample_rates"] == {"16000": 13, "44100": 1}
    assert summary["source_channels"] == {"1": 13, "2": 1}
    assert sum(split["files"] for split in summary["splits"].values()) == 14
    assert sum(summary["durations"].values()) == 14
    assert summary["durations"]["10 to 30 s"] == 1
    assert summary["durations"]["2 to 5 s"] == 1
    assert sum(split["hours"] for split in summary["splits"].values()) * 3600 == pytest.approx(36.1)

    status, output, _ = nacre("inspect", out, "--verify")
    assert status == 0
    assert "undecodable" in output
    assert "44100" in output


def test_failures_are_one_line_and_status_1(tmp_path):
    (tmp_path / "empty").mkdir()
    for arguments in (
        ("build", tmp_path / "missing", "--out", tmp_path / "data"),
        ("build", tmp_path / "empty", "--out", tmp_path / "data"),
        ("inspect", tmp_path / "missing"),
    ):
        status, output, errors = nacre(*arguments)
        assert (status, output) == (1, "")
        assert errors.startswith("nacre: ")
        assert errors.count("\n") == 1


def test_usage_errors_are_status_2(tmp_path):
    for arguments in (["build", "--out", "d"], ["build", "a"], ["build", "a", "--out", "d", "--channels", "3"]):
        assert CliRunner().invoke(data, arguments).exit_code == 2


def test_inspect_finds_cut_and_altered_shards(dataset):
    shard = next(dataset.glob("train-*.tar"))
    good = shard.read_bytes()
    shard.write_bytes(good[:-512])
    result = CliRunner().invoke(data, ["inspect", str(dataset)])
    assert isinstance(result.exception, DataError)
    assert f"shard {shard.name}" in str(result.exception)
    assert "truncated" in str(result.exception)
    shard.write_bytes(good[:-1] + b"x")
    assert CliRunner().invoke(data, ["inspect", str(dataset)]).exit_code == 0
    result = CliRunner().invoke(data, ["inspect", str(dataset), "--verify"])
    assert isinstance(result.exception, DataError)


def test_inspect_refuses_a_damaged_manifest(dataset):
    (dataset / "manifest.jsonl").write_text("not json\n")
    result = CliRunner().invoke(data, ["inspect", str(dataset)])
    assert "line 1 of manifest.jsonl" in str(result.exception)


def test_an_empty_split_is_warned_of(tmp_path, make_corpus):
    arguments = ["build", str(make_corpus(tmp_path / "audio", 2)), "--out", str(tmp_path / "data")]
    result = CliRunner().invoke(data, [*arguments, "--val-percent", "0", "--jobs", "1"])
    assert result.exit_code == 0
    assert "no file fell into val" in result.stderr


@pytest.mark.parametrize("command", ["build", "inspect"])
def test_help_teaches_by_example(command):
    result = CliRunner().invoke(data, [command, "--help"])
    assert f"nacre data {command}" in result.output
