"""The real service: processes, signals, and the Bento."""

import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from codec.audio import read_audio
from codec.compress import compress
from codec.errors import NacreError, PackageError, UnknownModelError
from registry.registry import Registry
from running_service import await_workers, connections, starting, stop, taken_by_worker
from serving.bento import build_bento, pinned_requirements
from serving.server import check_address, checked_references

# Importing bentoml builds a pattern that the pathspec it requires calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")


@pytest.fixture
def start(tmp_path):
    with starting(tmp_path / "log") as start:
        yield start


@pytest.mark.slow
def test_serve_encodes_decodes_and_stops_without_a_trace(start, package, model, make_audio, tmp_path):
    client, process = start("nacre", "serve", "--model", package, "--workers", 2)
    speech = tmp_path / "speech.wav"
    speech.write_bytes(make_audio(seconds=1, sample_rate=44_100, channels=2))
    encoded = client.post("/v1/encode?bitrate_kbps=2", content=speech.read_bytes())
    assert encoded.content == compress(model, read_audio(speech), bitrate_kbps=2)
    decoded = client.post("/v1/decode", content=encoded.content)
    assert len(decoded.content) == 44 + 44_100 * 2 * 2
    (facts,) = client.get("/v1/models").json()["models"]
    assert facts["fingerprint"] == model.package.fingerprint
    assert "nacre_audio_seconds_total" in client.get("/metrics").text
    assert client.get("/").headers["Content-Type"].startswith("text/html")
    for method, path in [("GET", "/docs.json"), ("GET", "/schema.json"), ("POST", "/livez")]:
        answer = client.request(method, path)
        assert answer.status_code in (404, 405)
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    await_workers(client, process, 2)
    with connections(client, 32) as mine:
        assert min(taken_by_worker(mine, process)) >= 14  # the client has one of its own, and some were just closed
    stop(process, signal.SIGTERM)


@pytest.mark.slow
def test_a_bento_serves_from_its_own_folder(start, package, model, make_audio, tmp_path, monkeypatch):
    out = tmp_path / "bento"
    done = subprocess.run(
        [sys.executable, "-m", "nacre", "bento", "build", str(package), "--out", str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("nacre:")
    assert len(done.stdout.splitlines()) == 1
    pins = (out / "env" / "python" / "requirements.txt").read_text()
    assert "torch==" in pins
    assert "fastapi==" in pins
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "elsewhere"))
    client, process = start("bentoml", "serve", ".", cwd=out)
    worker = process.children()[0]
    assert Path(worker.cwd()) == out / "src"
    assert client.get("/v1/models").json()["models"][0]["fingerprint"] == model.package.fingerprint
    assert client.post("/v1/encode", content=make_audio()).status_code == 200
    stop(process, signal.SIGINT)


def test_pinned_requirements_are_the_servings():
    pins = pinned_requirements()
    names = {pin.partition("==")[0] for pin in pins}
    assert all("==" in pin for pin in pins)
    assert {"torch", "bentoml", "fastapi", "uvicorn", "starlette", "sqlalchemy", "numpy", "uvloop"} <= names
    assert not names & {"lightning", "webdataset", "wandb", "auraloss", "matplotlib", "pytest"}


def test_a_bento_is_refused_before_it_is_built(package, tmp_path):
    with pytest.raises(NacreError, match="exists already"):
        build_bento(str(package), tmp_path)
    with pytest.raises(UnknownModelError):
        build_bento("unknown")


def test_references_are_checked_before_anything_starts(package, tmp_path):
    assert checked_references([str(package)]) == [str(package)]
    with pytest.raises(PackageError):
        checked_references([str(package), str(tmp_path)])
    with pytest.raises(UnknownModelError):
        checked_references(["unknown@production"])
    renamed = tmp_path / "a,b"
    shutil.copytree(package, renamed)
    with pytest.raises(NacreError, match="comma"):
        checked_references([str(renamed)])


def test_an_address_in_use_or_no_address():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(NacreError, match=f"port {port}"):
            check_address("127.0.0.1", port)
    with pytest.raises(NacreError, match="no-such-host"):
        check_address("no-such-host.invalid", 3000)


def test_serve_says_in_one_line_what_is_wrong(tmp_path):
    words = [sys.executable, "-m", "nacre", "serve", "--model", "unknown@production"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("nacre: ")
    assert len(done.stderr.splitlines()) == 1


def test_an_alias_stays_one_that_is_followed(package):
    registry = Registry.open()
    registry.register(package, "speech")
    registry.promote("speech:1", "production")
    assert checked_references(["speech", "speech@production", "speech:1"]) == [
        "speech",
        "speech@production",
        "speech:1",
    ]
