"""`nacre keys`."""

import pytest
from click.testing import CliRunner

from codec.errors import NacreError
from serving.access.commands import keys
from serving.access.store import KeyStore


def run(*words):
    return CliRunner().invoke(keys, words, catch_exceptions=False)


def test_create_prints_the_key_alone_on_stdout():
    done = run("create", "alice", "--requests-per-minute", "7", "--concurrency", "3")
    assert done.exit_code == 0
    (key,) = KeyStore().read()
    assert key.fits(done.stdout.strip())
    assert (key.requests_per_minute, key.concurrency) == (7, 3)
    assert "shown this once" in done.stderr
    assert done.stdout.strip() not in done.stderr


def test_list_shows_no_secret_and_revoke_removes():
    text = run("create", "alice").stdout.strip()
    run("create", "bob")
    lines = run("list").stdout.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["name", "alice", "bob"]
    assert text.rpartition("_")[2] not in "".join(lines)
    assert run("revoke", "alice").stdout == "revoked the key of 'alice'\n"
    assert [key.name for key in KeyStore().read()] == ["bob"]
    with pytest.raises(NacreError, match="there is no key 'alice'"):
        run("revoke", "alice")


@pytest.mark.parametrize("option", ["--requests-per-minute", "--concurrency"])
def test_limits_are_positive(option):
    assert run("create", "alice", option, "0").exit_code == 2
    assert not KeyStore().path.exists()


@pytest.mark.parametrize("command", ["create", "list", "revoke"])
def test_help_shows_an_example(command):
    text = run(command, "--help").stdout
    assert "\\b" not in text
    assert f"  nacre keys {command}" in text.partition("Example:\n")[2].splitlines()[0]
