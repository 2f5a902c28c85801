"""A package made on one machine is used on another, through S3 (SeaweedFS) and a database that both reach.

Machines are homes here: nothing of one is in the folders of another.
"""

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

import postgres_server
import s3_server
from codec.audio import read_audio
from codec.compress import compress
from codec.weights import load_package, write_package
from running_service import starting
from tiny import tiny_codec

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")]

ROOT = Path(__file__).parents[2]
CLIP = ROOT / "tests" / "data" / "speech_en_allison_1.flac"
BUCKET = "nacre-models"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """Run a server and return its address."""
    with s3_server.running(tmp_path_factory.mktemp("weed")) as address:
        yield address


@pytest.fixture
def bucket(endpoint, monkeypatch):
    """A client of the server, in which NACRE_STORE_URL is a prefix that nobody used."""
    files = s3_server.use(endpoint, monkeypatch)
    if not files.exists(BUCKET):
        files.mkdir(BUCKET)
    monkeypatch.setenv("NACRE_STORE_URL", f"s3://{BUCKET}/{secrets.token_hex(4)}")
    yield files
    files.clear_instance_cache()


@pytest.fixture
def database(request, tmp_path, monkeypatch):
    """A database that every machine reaches: PostgreSQL where it is installed, as in CI, or else a file."""
    if postgres_server.find_programs() is None and os.environ.get("NACRE_CI") != "1":
        monkeypatch.setenv("NACRE_REGISTRY_URL", f"sqlite:///{tmp_path / 'registry.db'}")
        yield
        return
    with request.getfixturevalue("postgres").schema() as url:
        monkeypatch.setenv("NACRE_REGISTRY_URL", url)
        yield


@pytest.fixture
def on(tmp_path, monkeypatch):
    """Go to a machine, which what is started afterwards runs on; return its folder."""

    def go(name):
        monkeypatch.setenv("NACRE_HOME", str(tmp_path / name / "nacre"))
        monkeypatch.setenv("BENTOML_HOME", str(tmp_path / name / "bentoml"))
        (tmp_path / name).mkdir(exist_ok=True)
        return tmp_path / name

    return go


def nacre(*words):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "nacre", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120)


def make(folder, seed):
    write_package(folder, tiny_codec(seed), metrics={}, lineage={"seed": seed})
    return folder


def served_version(client):
    return client.get("/v1/models").json()["models"][0]["version"]


def test_a_package_made_on_one_machine_is_promoted_and_served_from_another(bucket, database, on, tmp_path):
    here = on("a")
    package = make(here / "package", seed=0)
    assert nacre("registry", "register", package, "--name", "speech").stdout.startswith("registered speech:1 ")
    assert nacre("registry", "promote", "speech:1", "production").stdout == "speech@production: none -> 1\n"

    there = on("b")
    coded = there / "clip.nac"
    done = nacre("encode", CLIP, coded, "--model", "speech@production", "--bitrate-kbps", "2")
    assert done.returncode == 0, done.stderr
    assert coded.read_bytes() == compress(load_package(package), read_audio(CLIP), bitrate_kbps=2)
    with starting(tmp_path / "log") as start:
        client, _ = start("nacre", "serve", "--model", "speech@production")
        encoded = client.post("/v1/encode?bitrate_kbps=2", content=CLIP.read_bytes())
        assert encoded.content == coded.read_bytes()

        successor = make(on("a") / "successor", seed=1)
        nacre("registry", "register", successor, "--name", "speech")
        assert nacre("registry", "promote", "speech:2", "production").stdout == "speech@production: 1 -> 2\n"
        deadline = time.monotonic() + 60
        while served_version(client) != 2:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.5)
        encoded = client.post("/v1/encode?bitrate_kbps=2", content=CLIP.read_bytes())
        assert encoded.content == compress(load_package(successor), read_audio(CLIP), bitrate_kbps=2)
    assert sorted(path.name for path in (tmp_path / "b" / "bentoml" / "fetching").iterdir()) == []


def test_an_altered_object_is_refused_on_an_empty_machine(bucket, database, on):
    package = make(on("a") / "package", seed=0)
    nacre("registry", "register", package, "--name", "speech")
    nacre("registry", "promote", "speech:1", "production")
    (weights,) = bucket.glob(f"{os.environ['NACRE_STORE_URL']}/models/speech/*/model.safetensors")
    bucket.pipe_file(weights, bucket.cat_file(weights)[:-1] + b"\x7f")

    empty = on("c")
    refused = nacre("encode", CLIP, empty / "clip.nac", "--model", "speech@production")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"nacre: speech:1 is damaged: 's3://{weights}' was altered\n"
    assert not (empty / "clip.nac").exists()
    assert list((empty / "bentoml").glob("models/*/*/")) == []
    assert list((empty / "bentoml" / "fetching").iterdir()) == []

    on("a")
    assert nacre("registry", "resolve", "speech").returncode == 0
    assert f"'s3://{weights}' was altered" in nacre("registry", "verify", "speech").stderr


def test_exports_go_through_a_bucket_to_another_registry(bucket, on, monkeypatch):
    exported = f"{os.environ['NACRE_STORE_URL']}/exports/speech-1"
    monkeypatch.delenv("NACRE_STORE_URL")
    nacre("registry", "register", make(on("a") / "package", seed=0), "--name", "speech", "--note", "first run")
    assert nacre("registry", "export", "speech:1", exported).stdout == "exported speech:1 with 0 reports\n"
    on("b")
    assert nacre("registry", "import", exported, "--name", "voice").stdout.startswith("registered voice:1 ")
    assert nacre("registry", "verify", "--all").stdout == "voice:1\tok\n"
    assert nacre("registry", "list").stdout.endswith(": first run\n")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "check your rights to it"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1", "Could not connect to the endpoint"),
    ],
)
def test_a_bucket_that_does_not_answer_is_one_line(bucket, on, monkeypatch, name, value, problem):
    package = make(on("a") / "package", seed=0)
    monkeypatch.setenv(name, value)
    refused = nacre("registry", "register", package, "--name", "speech")
    assert refused.returncode == 1
    assert refused.stderr.startswith("nacre: 's3://nacre-models/")
    assert refused.stderr.count("\n") == 1
    assert problem in refused.stderr
    assert nacre("registry", "list", "--json").stdout == "[]\n"
