"""The HTTP API with keys and jobs in a folder of its own. Any test module can import it (pyproject.toml)."""

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
