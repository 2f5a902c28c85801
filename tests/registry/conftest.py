"""A tiny real codec, written as packages; and the command line as a user meets it."""

import contextlib
import hashlib
import io
import json
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
import torch

import nacre
from codec.config import CodecConfig, QuantizerConfig
from codec.model import Codec
from codec.nacre.config import NacreConfig
from codec.package import open_package
from codec.weights import write_package
from registry.registry import Registry

FIRST_SCHEMA = Path(__file__).with_name("data")
# Of the packages that its dumps tell of: their lineage's run, and the hash of their content.
FIRST_PACKAGES = {
    "a": "210c82e9e4244bb2ec0cf628a4cd514002c836bb2d4da818d1f4bfc752c3d787",
    "b": "68581a882adb6fca6597bd1f42b02e8122d82aee8e5b542011c1f9d91ef660d4",
}


def _tiny_codec():
    config = CodecConfig(
        name="tiny",
        latent_dim=8,
        quantizer=QuantizerConfig(num_quantizers=2, codebook_size=16),
        network=NacreConfig(width=16, encoder_blocks=1, decoder_blocks=2, level_bands=4),
    )
    torch.manual_seed(0)
    codec = Codec(config)
    noise = torch.randn(4, 1, 16_000) * 0.1
    codec.initialize_network(noise)
    codec.initialize_codebooks(noise)
    return codec


@pytest.fixture(scope="session")
def tiny_codec():
    return _tiny_codec()


@pytest.fixture
def make_package(tiny_codec, tmp_path):
    """Write the tiny codec as a package; `run` makes its lineage, and so its content, its own."""

    def make(run="a"):
        directory = tmp_path / f"package-{run}"
        lineage = {"run": run, "data": {"index_sha256": "0" * 64}, "steps": 10}
        write_package(directory, tiny_codec, metrics={"mel_distance": 1.25, "si_sdr_db": 3.5}, lineage=lineage)
        return directory

    return make


@pytest.fixture
def make_report(tmp_path):
    """Write what an evaluation of a package leaves in its folder: its card, and more besides."""

    def make(
        package, name="report", uses=("speech (en): PESQ 1.52 at 1.5 kbps to 2.96 at 6.02 kbps, 24 clips",), **other
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "card-speech-1.md").write_text("# speech:1\n![curve](curves_pesq.png)\n")
        (folder / "summary.json").write_text("{}")
        (folder / "curves_pesq.png").write_bytes(b"\x89PNG")
        (folder / "scores.csv").write_text("clip\n")
        card = {
            "format": "nacre-model-card",
            "version": 1,
            "content_hash": hashlib.sha256((package / "SHA256SUMS").read_bytes()).hexdigest(),
            "uses": list(uses),
            "card": "card-speech-1.md",
            "files": ["summary.json", "curves_pesq.png"],
        }
        (folder / "card-speech-1.json").write_text(json.dumps(card | other))
        return folder

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, monkeypatch):
    """The registry's database: the file in NACRE_HOME, and in another run of the test PostgreSQL; yields which."""
    if request.param == "sqlite":
        yield request.param
        return
    with request.getfixturevalue("postgres").schema() as url:
        monkeypatch.setenv("NACRE_REGISTRY_URL", url)
        yield request.param


@pytest.fixture
def engine(database, private_home):
    """The registry's database without the registry."""
    url = os.environ.get("NACRE_REGISTRY_URL")
    if url is None:
        path = private_home / "nacre" / "registry.db"
        path.parent.mkdir(exist_ok=True)
        url = f"sqlite:///{path}"
    return sa.create_engine(url, poolclass=sa.NullPool)


@pytest.fixture
def new_database(database, request, tmp_path):
    """Return the URL of another database of the kind, empty, at each call."""
    with contextlib.ExitStack() as stack:

        def make():
            if database == "sqlite":
                return f"sqlite:///{tmp_path / secrets.token_hex(4)}.db"
            return stack.enter_context(request.getfixturevalue("postgres").schema())

        yield make


@pytest.fixture
def load_first(database, make_package):
    """Put what a registry of the first released schema held into an engine's database; that release made it.

    Its packages are written anew, as their content follows the codec of today, under the hashes that they have now.
    """
    dump = (FIRST_SCHEMA / f"first_schema.{database}.sql").read_text()
    for run, content_hash in FIRST_PACKAGES.items():
        dump = dump.replace(content_hash, open_package(make_package(run)).content_hash)

    def load(engine):
        with contextlib.closing(engine.raw_connection()) as connection:
            if database == "sqlite":
                connection.executescript(f"PRAGMA journal_mode=WAL; {dump}")
            else:
                connection.cursor().execute(dump)
                connection.commit()

    return load


@pytest.fixture
def first(engine, load_first):
    """The registry as the first released schema, with an engine on it."""
    load_first(engine)
    return engine


@pytest.fixture
def models(database):
    return Registry.open()


@pytest.fixture
def three_versions(models, make_package):
    """A registry with speech:1, speech:2 and speech:3."""
    for run in ("a", "b", "c"):
        models.register(make_package(run), "speech")
    return models


@dataclass(frozen=True)
class Outcome:
    status: int
    stdout: str
    stderr: str

    @property
    def error(self):
        """The one line on stderr."""
        assert self.stderr.count("\n") == 1, self.stderr
        return self.stderr.strip()


@pytest.fixture
def run(database, monkeypatch):
    """Run `nacre registry ...` through the real entry point."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["nacre", "registry", *map(str, arguments)])
        stdout, stderr = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
            try:
                nacre.main()
                status = 0
            except SystemExit as exit_:
                status = exit_.code or 0
        return Outcome(status, stdout.getvalue(), stderr.getvalue())

    return call
