"""What a key may use, and what an address may get wrong."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from serving.access.failures import MAX_ADDRESSES, MAX_FAILURES, Failures, client_address
from serving.access.key import make_key as draw_key
from serving.access.quota import Quotas
from serving.errors import ServiceError

ROOT = Path(__file__).parents[3]
WORKER = """
import json, sys
from pathlib import Path
from serving.access.key import Key
from serving.access.quota import Quotas
quotas, key = Quotas(Path(sys.argv[1])), Key(**json.loads(sys.argv[2]))
for _ in range(key.concurrency):
    quotas.take(key)
print("ready", flush=True)
sys.stdin.readline()
"""


def key(**limits):
    return draw_key("alice", **{"requests_per_minute": 1000, "concurrency": 1000} | limits).key


def refused(call, *arguments):
    with pytest.raises(ServiceError) as caught:
        call(*arguments)
    error = caught.value
    assert error.status == 429
    assert error.headers["Retry-After"] in str(error)
    return error.code, int(error.headers["Retry-After"])


def test_requests_in_a_minute():
    quotas, alice, bob = Quotas(), key(requests_per_minute=3), key(requests_per_minute=1)
    for _ in range(3):
        quotas.take(alice)
        quotas.give_back(alice)
    code, seconds = refused(quotas.take, alice)
    assert code == "rate_limited"
    assert 55 <= seconds <= 61
    quotas.take(bob)


def test_requests_at_once():
    quotas, alice = Quotas(), key(concurrency=2)
    quotas.take(alice)
    quotas.take(alice)
    assert refused(quotas.take, alice) == ("too_many_at_once", 1)
    quotas.give_back(alice)
    quotas.take(alice)
    quotas.take(key(concurrency=1))


def test_a_refusal_at_once_costs_nothing_of_the_minute():
    quotas, alice = Quotas(), key(requests_per_minute=2, concurrency=1)
    quotas.take(alice)
    for _ in range(5):
        refused(quotas.take, alice)
    quotas.give_back(alice)
    quotas.take(alice)


def test_the_window_moves(clock):
    quotas, alice = Quotas(clock=clock), key(requests_per_minute=2)
    quotas.take(alice)
    clock.pass_by(40)
    quotas.take(alice)
    assert refused(quotas.take, alice) == ("rate_limited", 20)
    clock.pass_by(20)
    quotas.take(alice)
    assert refused(quotas.take, alice) == ("rate_limited", 40)


def test_workers_count_together(tmp_path, clock):
    one, other, alice = Quotas(tmp_path, clock), Quotas(tmp_path, clock), key(requests_per_minute=3, concurrency=2)
    one.take(alice)
    other.take(alice)
    assert refused(one.take, alice) == ("too_many_at_once", 1)
    other.give_back(alice)
    one.take(alice)
    one.give_back(alice)
    assert refused(other.take, alice)[0] == "rate_limited"


def test_what_a_worker_had_goes_when_it_dies(tmp_path):
    quotas, alice = Quotas(tmp_path), key(concurrency=2)
    command = [sys.executable, "-c", WORKER, str(tmp_path), json.dumps(asdict(alice))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as worker:
        assert worker.stdout.readline() == "ready\n"
        refused(quotas.take, alice)
        worker.kill()
    quotas.take(alice)


def test_failures_of_one_address_in_a_minute(clock):
    failures = Failures(clock)
    for _ in range(MAX_FAILURES):
        failures.count("192.0.2.1")
    clock.pass_by(20)
    assert refused(failures.count, "192.0.2.1") == ("too_many_failures", 40)
    failures.count("192.0.2.2")
    clock.pass_by(40)
    failures.count("192.0.2.1")


def test_failures_of_many_addresses_are_bounded(clock):
    failures = Failures(clock)
    for number in range(2 * MAX_ADDRESSES):
        failures.count(str(number))
    assert len(failures) == MAX_ADDRESSES


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::2", "2001:db8:1:2::/64"),
        ("testclient", "testclient"),
    ],
)
def test_addresses(host, expected):
    assert client_address({"client": (host, 1)}) == expected


def test_no_address():
    assert client_address({"client": None}) == client_address({}) == ""
