"""What a key may use, and what an address may get wrong."""

import pytest

from serving.access.failures import MAX_ADDRESSES, MAX_FAILURES, Failures, client_address
from serving.access.key import make_key as draw_key
from serving.access.quota import Quotas
from serving.errors import ServiceError


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
