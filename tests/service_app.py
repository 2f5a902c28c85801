"""The HTTP API with keys and jobs in a folder of its own, and its errors. Any test module can import it."""

from serving.access.store import KeyStore
from serving.app import create_app
from serving.jobs.packages import PackageConverter
from serving.jobs.store import JobStore


def make_app(engine, limits, home, **arguments):
    """Build the API with what it keeps under `home`, open to this machine unless told otherwise."""
    jobs = JobStore.open(limits, home / "jobs")
    keys = KeyStore(home / "keys.json")
    converter = PackageConverter.of(engine, limits)
    return create_app(engine, limits, jobs, converter, keys, **{"is_open": True, **arguments})


def error_of(response, status):
    """Check that an answer has that status and the one shape of errors; return its code."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error", "request_id"}
    assert set(body["error"]) == {"code", "message"}
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert body["error"]["message"]
    return body["error"]["code"]
