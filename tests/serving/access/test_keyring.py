"""A running service sees what happens to the keys' file."""

import logging

import pytest

from serving.access.keyring import Keyring
from serving.errors import ServiceError


@pytest.fixture
def keyring(store, clock):
    return Keyring(store, clock)


def refusal(keyring, text):
    with pytest.raises(ServiceError) as caught:
        keyring.find(text)
    return caught.value.status, caught.value.code


def test_keys_come_and_go_within_a_second(keyring, store, make_key, clock):
    assert refusal(keyring, "anything") == (401, "bad_key")
    text = make_key("alice")
    assert refusal(keyring, text) == (401, "bad_key")
    clock.pass_by(1)
    assert keyring.find(text).name == "alice"
    store.revoke("alice")
    assert keyring.find(text).name == "alice"
    clock.pass_by(1)
    assert refusal(keyring, text) == (401, "bad_key")


def test_near_misses(keyring, make_key, clock):
    text, other = make_key("alice"), make_key("bob")
    clock.pass_by(1)
    mixed = text[:19] + other[19:]
    for wrong in ("", text[:-1], text + "0", f" {text}", text.upper(), mixed, "nacre_", "\udc80", "ä" * 83):
        assert refusal(keyring, wrong) == (401, "bad_key"), wrong
    assert keyring.find(text).name == "alice"


def test_a_damaged_file_refuses_everyone_until_it_is_whole_again(keyring, store, make_key, clock, caplog):
    text = make_key("alice")
    assert keyring.find(text)
    whole = store.path.read_text()
    store.path.write_text(whole[:-5])
    for _ in range(3):
        clock.pass_by(1)
        with caplog.at_level(logging.ERROR):
            assert refusal(keyring, text) == (503, "keys_damaged")
    (record,) = caplog.records
    assert "is damaged" in record.getMessage()
    store.path.write_text(whole)
    clock.pass_by(1)
    assert keyring.find(text).name == "alice"


def test_a_removed_file_refuses_everyone(keyring, store, make_key, clock):
    text = make_key("alice")
    assert keyring.find(text)
    store.path.unlink()
    clock.pass_by(1)
    assert refusal(keyring, text) == (401, "bad_key")
