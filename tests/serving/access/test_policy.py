"""Access is open to programs of this machine alone, and only where no other can reach the service."""

import subprocess
import sys

import pytest

from codec.errors import NacreError
from serving.access.policy import check_access, is_loopback, is_own


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_loopback_needs_no_key(host, store):
    assert is_loopback(host)
    check_access(host, store)


EVERYWHERE = "0.0.0.0"  # noqa: S104  # nothing listens there


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.168.1.5", "localhost", "nacre.example", "", "::ffff:8.8.8.8"])
def test_any_other_address_needs_one(host, store, make_key):
    assert not is_loopback(host)
    with pytest.raises(NacreError, match="create one with `nacre keys create NAME`"):
        check_access(host, store)
    make_key()
    check_access(host, store)
    store.path.write_text("{")
    with pytest.raises(NacreError, match="is damaged"):
        check_access(host, store)


def request(client="127.0.0.1", **headers):
    given = {"host": "127.0.0.1:3000"} | {name.replace("_", "-"): value for name, value in headers.items()}
    raw = [(name.encode(), value.encode()) for name, value in given.items() if value]
    return {"type": "http", "client": (client, 5000) if client else None, "headers": raw}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:3000", "localhost:3000", "LOCALHOST", "[::1]:3000", "[::1]"])
def test_own_requests(host):
    assert is_own(request(host=host), ())
    assert is_own(request(client="::1", host=host), ())
    assert is_own(request(origin=f"http://{host}"), ())


@pytest.mark.parametrize(
    "scope",
    [
        request(client="192.168.1.5"),
        request(client=None),
        request(host=None),
        request(host="evil.example"),
        request(host="evil.example:3000"),
        request(host="127.0.0.1.evil.example"),
        request(host="127.0.0.1@evil.example"),
        request(host="evil.example@127.0.0.1"),
        request(host="localhost.evil.example"),
        request(origin="https://evil.example"),
        request(origin="null"),
        request(origin="http://localhost.evil.example"),
        request(origin="https://app.example.evil"),
        request(x_forwarded_for="192.0.2.1"),
        request(forwarded="for=192.0.2.1"),
        request(x_real_ip="192.0.2.1"),
        request(via="1.1 proxy"),
    ],
    ids=str,
)
def test_requests_of_others(scope):
    assert not is_own(scope, ("https://app.example",))


def test_allowed_pages_are_own():
    assert is_own(request(origin="https://app.example"), ("https://app.example",))


def test_a_worker_looks_at_what_it_listens_on():
    script = """
import socket
from serving.access.policy import listens_on_loopback
def listening(host):
    found = socket.socket(socket.AF_INET)
    found.bind((host, 0))
    found.listen()
    return found
print(listens_on_loopback())
near = listening("127.0.0.1")
print(listens_on_loopback())
far = listening("0.0.0.0")
print(listens_on_loopback())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False"]
