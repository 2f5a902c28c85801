"""Both clients, on the real API and on a stub."""

import contextlib

import pytest

from client_stub import QUICK, Blocking, Stub
from running_service import serving
from serving.client import Client


@pytest.fixture(params=[Client, Blocking], ids=["blocking", "asynchronous"])
def make(request):
    """Build a client of either kind."""
    with contextlib.ExitStack() as opened:
        yield lambda url, **options: opened.enter_context(request.param(url, **{"retry": QUICK, **options}))


@pytest.fixture(scope="session")
def service(client):
    """The URL of the real API."""
    with serving(client.app) as url:
        yield url


@pytest.fixture
def nacre(make, service):
    return make(service)


@pytest.fixture(scope="session")
def stub_service():
    stub = Stub()
    with serving(stub.app) as url:
        yield stub, url


@pytest.fixture
def stub(stub_service):
    stub_service[0].plan({})
    return stub_service[0]


@pytest.fixture
def stubbed(make, stub_service, stub):
    return make(stub_service[1])
