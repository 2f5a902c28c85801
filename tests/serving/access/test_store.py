"""The keys' file: whole, private, and of one writer at a time."""

import json
import re
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from codec.errors import NacreError
from serving.access.store import KeyStore


def test_a_key_is_shown_once_and_kept_as_a_hash(store):
    new = store.create("alice", requests_per_minute=5, concurrency=2)
    assert re.fullmatch(r"nacre_[0-9a-f]{12}_[0-9a-f]{64}", new.text)
    (key,) = store.read()
    assert key == new.key
    assert (key.name, key.requests_per_minute, key.concurrency) == ("alice", 5, 2)
    assert key.id in new.text
    assert key.fits(new.text)
    assert not key.fits(new.text[:-1] + ("0" if new.text[-1] != "0" else "1"))
    assert new.text.rpartition("_")[2] not in store.path.read_text()


def test_the_file_is_its_owners_alone(store, make_key):
    make_key("a")
    make_key("b")
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert [path.name for path in store.path.parent.iterdir() if path.suffix == ".json"] == ["keys.json"]


def test_without_a_file_there_are_no_keys(store):
    assert store.read() == ()


def test_it_lies_in_the_home(private_home):
    assert KeyStore().path == private_home / "nacre" / "keys.json"


def test_names_are_unique_until_they_are_revoked(store, make_key):
    old = make_key("alice")
    make_key("bob")
    with pytest.raises(NacreError, match="there is a key 'alice' already"):
        make_key("alice")
    store.revoke("alice")
    assert [key.name for key in store.read()] == ["bob"]
    assert make_key("alice") != old


def test_revoking_nobody(store, make_key):
    make_key("alice")
    with pytest.raises(NacreError, match="there is no key 'bob'"):
        store.revoke("bob")
    assert len(store.read()) == 1


@pytest.mark.parametrize("name", ["", "a b", "-a", "ä", "a" * 65, "a/b", "a\n"])
def test_names_that_are_none(store, name):
    with pytest.raises(NacreError, match="1 to 64 letters"):
        store.create(name, requests_per_minute=1, concurrency=1)
    assert not store.path.exists()


def test_writers_side_by_side_lose_nothing(store):
    def create(number):
        KeyStore(store.path).create(f"key-{number}", requests_per_minute=1, concurrency=1)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(create, range(24)))
    assert {key.name for key in store.read()} == {f"key-{number}" for number in range(24)}


def entry(**changes):
    fields = {
        "name": "alice",
        "id": "0" * 12,
        "sha256": "0" * 64,
        "created": "2026-11-27T12:00:00Z",
        "requests_per_minute": 1,
        "concurrency": 1,
    }
    return fields | changes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"version": 1}',
        '{"version": 2, "keys": []}',
        '{"version": 1, "keys": ["alice"]}',
        '{"version": 1, "keys": 5}',
        "[" * 100_000,
        *(
            json.dumps({"version": 1, "keys": keys})
            for keys in (
                [{"name": "alice"}],
                [entry(admin=True)],
                [entry(concurrency=True)],
                [entry(concurrency=0)],
                [entry(requests_per_minute=-1)],
                [entry(sha256="")],
                [entry(sha256="ä" * 64)],
                [entry(), entry(id="1" * 12)],
                [entry(), entry(name="bob")],
            )
        ),
    ],
    ids=lambda text: text[:30],
)
def test_a_damaged_file_is_an_error_and_stays_as_it_is(store, text):
    store.path.parent.mkdir()
    store.path.write_text(text)
    with pytest.raises(NacreError, match=r"keys\.json' is damaged"):
        store.read()
    with pytest.raises(NacreError, match="is damaged"):
        store.create("carol", requests_per_minute=1, concurrency=1)
    assert store.path.read_text() == text


def test_a_file_that_is_no_text(store):
    store.path.parent.mkdir()
    store.path.write_bytes(b"\xff\xfe")
    with pytest.raises(NacreError, match="can't read the keys"):
        store.read()
    store.path.unlink()
    store.path.mkdir()
    with pytest.raises(NacreError, match="can't read the keys"):
        store.read()
