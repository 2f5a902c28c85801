"""The `nacre` command as a whole: lazy, documented, and its errors are one line."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

import nacre

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "lightning", "bentoml", "webdataset", "wandb", "numpy", "codec"}


def run(*words):
    return subprocess.run([sys.executable, "-m", "nacre", *map(str, words)], capture_output=True, text=True, cwd=ROOT)


def walk(command, name):
    yield name, command
    if isinstance(command, click.Group):
        for child in command.list_commands(click.Context(command)):
            yield from walk(command.get_command(click.Context(command), child), f"{name} {child}")


def all_commands():
    return [
        pair for name in nacre.COMMANDS for pair in walk(nacre.cli.get_command(click.Context(nacre.cli), name), name)
    ]


def test_help_lists_every_command_and_imports_nothing_heavy():
    code = "import sys, nacre\ntry: nacre.cli(['--help'])\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    for name in nacre.COMMANDS:
        assert f"\n  {name} " in result.stdout
    modules = set(eval(result.stdout.splitlines()[-1]))  # noqa: S307  # our own list of names
    assert not HEAVY & modules


def test_every_command_says_what_it_does_and_documents_its_options():
    for name, command in all_commands():
        assert command.help, name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.name}"


def test_every_command_is_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    for name, command in all_commands():
        if not isinstance(command, click.Group):
            assert f"nacre {name}" in readme, name


@pytest.mark.parametrize("words", [["nonsense"], ["encode"], ["data", "build", "--nonsense"]])
def test_wrong_usage_exits_with_2(words):
    result = run(*words)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_our_errors_are_one_line_and_exit_with_1(tmp_path):
    (tmp_path / "a.wav").write_text("no audio")
    for words in (
        ["data", "build", tmp_path / "none", "--out", tmp_path / "out"],
        ["data", "inspect", tmp_path],
        ["encode", tmp_path / "a.wav", tmp_path / "a.nac", "--model", "unknown@production"],
        ["serve", "--model", "unknown"],
        ["registry", "resolve", "unknown@nobody"],
        ["train", "export", tmp_path, "--out", tmp_path / "package"],
    ):
        result = run(*words)
        assert "Traceback" not in result.stderr, words
        assert result.returncode in (1, 2), words
        assert result.stderr.strip().splitlines()[-1].startswith(("nacre: ", "Error: ")), (words, result.stderr)
        if result.returncode == 1:
            assert len(result.stderr.strip().splitlines()) == 1, (words, result.stderr)
