"""Publishing to W&B, up to its public functions; and the one line that says that nothing was sent, and why."""

import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb
from click.testing import CliRunner
from wandb.sdk import wandb_setup

from codec.errors import MissingToolError, RegistryError, UnknownModelError
from codec.weights import write_package
from nacre import cli
from registry.registry import Registry
from tiny import tiny_codec

ROOT = Path(__file__).parents[2]


@pytest.fixture
def models(tmp_path):
    """A registry with speech:1 in production."""
    write_package(tmp_path / "package", tiny_codec(), metrics={"si_sdr_db": 3.5}, lineage={"run": "a", "steps": 10})
    models = Registry.open()
    models.register(tmp_path / "package", "speech", note="first run")
    models.promote("speech:1", "production")
    return models


class Run:
    """What wandb.init returns, as far as publishing uses it; `failures` are what its methods raise."""

    def __init__(self):
        self.logged, self.linked, self.failures = [], [], {}

    def finish(self, *, exit_code):
        self.exit_code = exit_code

    def log_artifact(self, artifact, *, aliases):
        self.logged.append((artifact, aliases))
        return SimpleNamespace(wait=self.wait)

    def wait(self):
        if "log" in self.failures:
            raise self.failures["log"]
        return SimpleNamespace(qualified_name="me/nacre/speech:v0")

    def link_artifact(self, artifact, target, *, aliases):
        if "link" in self.failures:
            raise self.failures["link"]
        self.linked.append((artifact.qualified_name, target, aliases))


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """W&B's settings, of a machine with neither key nor network."""
    settings = wandb_setup.singleton().settings  # read once in a process, from the environment as it is here
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("mode", "online"), ("base_url", "http://127.0.0.1:1"), ("api_key", None), ("project", None)):
        monkeypatch.setattr(settings, name, value)
    monkeypatch.setattr(wandb, "init", lambda **_: pytest.fail("W&B was asked to begin"))
    return settings


@pytest.fixture
def online(settings, monkeypatch):
    """W&B with a key and a server; yields its run, and what it was begun with as `begun`."""
    run = Run()

    def init(**options):
        run.begun = options
        return run

    monkeypatch.setattr("training.publish.why_unreachable", lambda url: None)
    monkeypatch.setattr(wandb, "login", lambda **_: True)
    monkeypatch.setattr(wandb, "init", init)
    return run


def push(*arguments):
    return CliRunner().invoke(cli, ["registry", "push", *arguments])


def test_a_version_becomes_an_artifact_and_is_linked(models, online):
    result = push("speech@production", "--wandb")
    target = "wandb-registry-model/speech"
    assert result.stdout == f"published speech:1 as me/nacre/speech:v0, linked to {target}\n"
    ((artifact, aliases),) = online.logged
    assert (artifact.name, artifact.type, artifact.description) == ("speech", "model", "first run")
    assert aliases == ["version-1", "production"]
    assert online.linked == [("me/nacre/speech:v0", target, aliases)]
    assert (online.begun["project"], online.exit_code) == ("nacre", 0)
    version = models.show("speech:1")
    assert artifact.metadata["registered"] == "speech:1"
    assert artifact.metadata["fingerprint"] == version.fingerprint
    assert artifact.metadata["metrics"] == {"si_sdr_db": 3.5}
    assert artifact.metadata["lineage"] == {"run": "a", "steps": 10}
    files = {entry.path: Path(entry.local_path) for entry in artifact.manifest.entries.values()}
    assert set(files) == {"codec.json", "lineage.json", "metrics.json", "model.safetensors", "SHA256SUMS"}
    assert all(path.parent == version.directory for path in files.values())


def test_the_collection_and_the_project_can_be_others(models, online, settings, monkeypatch):
    monkeypatch.setattr(settings, "project", "codecs")
    assert push("speech", "--wandb", "--collection", "wandb-registry-team/voice").exit_code == 0
    assert online.linked[0][1] == "wandb-registry-team/voice"
    assert online.begun["project"] == "codecs"


@pytest.mark.parametrize("mode", ["offline", "dryrun", "disabled"])
def test_offline_nothing_is_sent_and_it_says_what_to_do(models, settings, monkeypatch, mode):
    monkeypatch.setattr(settings, "mode", mode)
    result = push("speech", "--wandb")
    assert isinstance(result.exception, RegistryError)
    assert str(result.exception).startswith(f"nothing was sent, as W&B is {mode} here: set WANDB_MODE=online")
    assert result.stdout == ""


def test_without_a_network_it_ends_in_one_line(models, settings, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setattr(settings, "base_url", url)
        result = push("speech", "--wandb")
    assert isinstance(result.exception, RegistryError)
    assert str(result.exception).startswith(f"nothing was sent, as {url} can't be reached: ")


def test_without_a_key_it_asks_for_none_and_says_what_to_do(models, settings, monkeypatch):
    monkeypatch.setattr("training.publish.why_unreachable", lambda url: None)
    result = push("speech", "--wandb")
    assert isinstance(result.exception, RegistryError)
    assert str(result.exception) == ("nothing was sent, as W&B has no key here: set WANDB_API_KEY or run 'wandb login'")


def test_a_refusal_says_how_far_it_came(models, online):
    online.failures["link"] = wandb.Error("no such\nregistry")
    error = push("speech", "--wandb").exception
    assert str(error) == "speech:1 was sent to W&B, but not linked to 'wandb-registry-model/speech': no such registry"
    online.failures["log"] = ValueError("quota exceeded")
    error = push("speech", "--wandb").exception
    assert isinstance(error, RegistryError)
    assert str(error) == "speech:1 was not sent to W&B: quota exceeded"
    assert (online.linked, online.exit_code) == ([], 1)


def test_a_refused_key_is_no_success(models, online, monkeypatch):
    def refuse(**_):
        raise wandb.errors.AuthenticationError("no such account")

    monkeypatch.setattr(wandb, "login", refuse)
    error = push("speech", "--wandb").exception
    assert isinstance(error, RegistryError)
    assert str(error) == "nothing was sent, as http://127.0.0.1:1 refuses: no such account"
    assert online.logged == []


def test_what_is_not_registered_is_refused_before_anything_begins(models, online):
    assert isinstance(push("speech:2", "--wandb").exception, UnknownModelError)
    assert not hasattr(online, "begun")


def test_where_to_must_be_said(models):
    result = push("speech")
    assert (result.exit_code, "say where to: --wandb" in result.stderr) == (2, True)


def test_without_wandb_it_names_the_extra(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    error = push("speech", "--wandb").exception
    assert isinstance(error, MissingToolError)
    assert str(error) == "nothing was sent, as W&B is not installed: pip install 'nacre[training]'"


def test_where_training_is_not_installed_the_command_says_so():
    code = (
        "import sys, nacre\n"
        "class Absent:\n"
        "    def find_spec(name, *_):\n"
        "        if name == 'training':\n"
        "            raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Absent)\n"
        "sys.argv = ['nacre', 'registry', 'push', 'speech', '--wandb']\n"
        "nacre.main()\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "nacre: 'nacre registry push' is part of training, which is not installed here\n"


def test_its_help_imports_no_library_of_training():
    code = (
        "import sys, nacre\n"
        "try: nacre.cli(['registry', 'push', '--help'])\n"
        "except SystemExit: pass\n"
        "print(*{'wandb', 'lightning', 'torch'} & set(sys.modules), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (result.returncode, result.stderr) == (0, "\n")
    assert "nacre registry push speech@production --wandb" in result.stdout
