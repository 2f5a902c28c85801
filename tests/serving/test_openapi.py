"""The description and the service agree: whatever schemathesis makes up gets an answer that is described."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

from service_app import make_app
from serving.access.store import KeyStore
from serving.engine import Engine
from serving.limits import ServiceLimits

load_all_checks()

OPERATIONS = (
    "POST /v1/encode",
    "POST /v1/decode",
    "POST /v1/roundtrip",
    "GET /v1/models",
    "GET /v1/models/{name}",
    "GET /v1/limits",
    "POST /v1/jobs",
    "GET /v1/jobs",
    "GET /v1/jobs/{job_id}",
    "GET /v1/jobs/{job_id}/result",
    "DELETE /v1/jobs/{job_id}",
    "GET /livez",
    "GET /readyz",
)


@pytest.fixture(scope="module")
def service(package, tmp_path_factory):
    """The API's description, and the headers of a key."""
    home = tmp_path_factory.mktemp("service")
    limits = ServiceLimits(max_jobs=100_000, max_jobs_per_owner=100_000, job_min_free_bytes=0)
    engine = Engine(limits)
    engine.load(str(package))
    app = make_app(engine, limits, home, is_open=False)
    key = KeyStore(home / "keys.json").create("tester", requests_per_minute=1_000_000, concurrency=100)
    yield schemathesis.openapi.from_asgi("/openapi.json", app), {"Authorization": f"Bearer {key.text}"}
    engine.close()


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_answer_is_described(operation, service):
    schema, headers = service
    method, path = operation.split()

    @given(case=schema[path][method].as_strategy())
    @settings(max_examples=20, suppress_health_check=list(HealthCheck))
    def check(case):
        # What it makes up has the right form, but is neither audio nor a container.
        case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

    check()


def test_every_operation_is_tried(service):
    described = [operation.ok() for operation in service[0].get_all_operations()]
    assert {f"{operation.method.upper()} {operation.path}" for operation in described} == set(OPERATIONS)
