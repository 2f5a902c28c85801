"""What every room's tests share: a private home, quiet telemetry, and tools that may be missing."""

import os
import shutil

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported, and for what tests start: processes side by side have a core each, and threads of theirs
    # that wait for each other by spinning take many times as long.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

import postgres_server

settings.register_profile("nacre", deadline=None)  # examples share two slow cores with other tests
settings.load_profile("nacre")

PACKAGES = {
    "dpkg-deb": "dpkg",
    "opusenc": "opus-tools",
    "opusdec": "opus-tools",
    "oggenc": "vorbis-tools",
    "oggdec": "vorbis-tools",
    "speexenc": "speex",
    "speexdec": "speex",
    "c2enc": "codec2",
    "c2dec": "codec2",
    "elc3": "liblc3-tools",
    "dlc3": "liblc3-tools",
    "postgres": "postgresql",
}


@pytest.fixture(autouse=True)
def private_home(tmp_path_factory, monkeypatch):
    """Keep every test's state to itself."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("NACRE_HOME", str(home / "nacre"))
    monkeypatch.setenv("BENTOML_HOME", str(home / "bentoml"))
    monkeypatch.setenv("BENTOML_DO_NOT_TRACK", "True")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DATA_DIR", str(home / "wandb"))
    return home


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of this process's own."""
    programs = postgres_server.find_programs()
    if programs is None:
        refuse_missing(["postgres"])
    with postgres_server.running(programs) as server:
        yield server


def pytest_configure(config):
    config.addinivalue_line("markers", "needs_tool(*names): needs these programs on PATH")


def pytest_runtest_setup(item):
    for marker in item.iter_markers("needs_tool"):
        missing = [name for name in marker.args if shutil.which(name) is None]
        if missing:
            refuse_missing(missing)


def refuse_missing(names):
    """Skip the test that needs these programs; fail it in CI."""
    packages = " ".join(sorted({PACKAGES.get(name, name) for name in names}))
    message = f"{', '.join(names)} not found: install it (Debian: apt-get install {packages})"
    if os.environ.get("NACRE_CI") == "1":
        pytest.fail(message)
    pytest.skip(message)
