"""Sending offline runs, to a server on this machine that answers what wandb asks."""

import http.server
import json
import socket
import threading
from types import SimpleNamespace

import pytest
import wandb
from click.testing import CliRunner
from wandb.sdk import wandb_setup

from codec.errors import RunError
from nacre import cli
from training.config import RunConfig
from training.loggers import build_loggers, wandb_environment, wandb_id
from training.run import Run
from training.sync import sync_run

KEY = "a" * 40


class Server(http.server.ThreadingHTTPServer):
    """Takes runs, or refuses every key; keeps what it was told."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.refuses = False
        self.runs, self.history = [], []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path, told):
        if path == "/graphql" and self.refuses:
            return 401, {"errors": [{"message": "bad key"}]}
        if path == "/graphql" and "UpsertBucket" in told["query"]:
            self.runs.append(told["variables"]["name"])
            project = {"id": "p", "name": "nacre", "entity": {"id": "e", "name": "me"}}
            bucket = {"id": "b", "name": self.runs[-1], "displayName": "run", "project": project, "historyLineCount": 0}
            return 200, {"data": {"upsertBucket": {"bucket": bucket, "inserted": True}}}
        if path == "/graphql" and "CreateRunFiles" in told["query"]:
            files = [{"name": name, "uploadUrl": f"{self.url}/upload"} for name in told["variables"]["files"]]
            return 200, {"data": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}}
        if path.endswith("/file_stream"):
            for chunk in told.get("files", {}).get("wandb-history.jsonl", {}).get("content", []):
                self.history.append(json.loads(chunk))
        return 200, {"data": {}}


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = json.loads(body) if self.path == "/graphql" or self.path.endswith("/file_stream") else {}
        status, reply = self.server.answer(self.path, told)
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = answer  # noqa: N815  # http.server's names

    def log_message(self, *_):
        return


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def use(monkeypatch, tmp_path):
    """Return a function that points wandb to a server, with a key or without."""

    def point(url, key=KEY):
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        monkeypatch.setenv("WANDB_BASE_URL", url)
        monkeypatch.setattr(wandb_setup.singleton().settings, "base_url", url)
        monkeypatch.delenv("WANDB_API_KEY", raising=False)
        if key:
            monkeypatch.setenv("WANDB_API_KEY", key)

    return point


@pytest.fixture
def run(tmp_path):
    """A run that has logged offline, without key or network."""
    run = Run(tmp_path / "run")
    run.directory.mkdir()
    run.config.write_text("{}")
    log(run, 1.5)
    return run


def log(run, value):
    """Log one value to W&B as training does, and end."""
    with wandb_environment(run):
        _, logger = build_loggers(run, RunConfig(wandb_mode="offline"))
        logger.log_metrics({"train/gen/loss": value}, step=1)
        wandb.finish()


def test_an_offline_run_is_sent_once_and_what_was_added_later(run, server, use):
    use(server.url)
    assert sync_run(run.directory) == 1
    assert set(server.runs) == {wandb_id(run)}
    assert [line["train/gen/loss"] for line in server.history] == [1.5]
    assert sync_run(run.directory) == 0
    log(run, 0.5)
    assert sync_run(run.directory) == 1
    assert [line["train/gen/loss"] for line in server.history] == [1.5, 0.5]
    assert len(set(server.runs)) == 1


def test_a_refused_key_is_no_success(run, server, use):
    server.refuses = True
    use(server.url)
    with pytest.raises(RunError, match=r"was not sent to http://127.0.0.1:\d+: .*401"):
        sync_run(run.directory)


def test_without_a_key_it_says_what_to_do(run, server, use):
    use(server.url, key=None)
    with pytest.raises(RunError, match=r"no API key: set WANDB_API_KEY or run 'wandb login'"):
        sync_run(run.directory)


def test_without_network_it_ends_in_one_line(run, use):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        use(f"http://127.0.0.1:{closed.getsockname()[1]}")
        result = CliRunner().invoke(cli, ["train", "sync", str(run.directory)])
    assert isinstance(result.exception, RunError)
    assert "can't reach http://127.0.0.1" in str(result.exception)
    assert result.stdout == ""


def test_a_run_without_offline_files_is_refused(tmp_path, run):
    other = Run(tmp_path / "other")
    other.directory.mkdir()
    other.config.write_text("{}")
    with pytest.raises(RunError, match="has no offline W&B run"):
        sync_run(other.directory)
    with pytest.raises(RunError, match="is not a run"):
        sync_run(tmp_path)


def test_runs_of_one_folder_name_have_ids_of_their_own_and_keep_them(run, tmp_path):
    known = wandb_id(run)
    namesake = Run(tmp_path / "elsewhere" / "run")
    assert wandb_id(namesake) != known
    run.directory.rename(tmp_path / "moved")
    assert wandb_id(Run(tmp_path / "moved")) == known


def test_an_online_run_sends_its_best_checkpoints(tmp_path, monkeypatch):
    sent = []
    fake = SimpleNamespace(id="x", log_artifact=lambda artifact, aliases: sent.append((artifact.type, aliases)))
    monkeypatch.setattr(wandb, "init", lambda **_: fake)
    monkeypatch.setattr(wandb, "run", None)
    monkeypatch.delenv("WANDB_DATA_DIR", raising=False)
    best = tmp_path / "best-step=10.ckpt"
    best.write_bytes(b"weights")
    run = Run(tmp_path)
    with wandb_environment(run):
        _, logger = build_loggers(run, RunConfig(wandb_mode="online"))
        assert logger.experiment is fake
        checkpoints = SimpleNamespace(
            save_top_k=1,
            best_model_path=str(best),
            best_model_score=1.0,
            best_k_models={str(best): 1.0},
            last_model_path="",
            monitor="val/mel_distance",
        )
        logger.after_save_checkpoint(checkpoints)
        logger.finalize("success")
    assert [kind for kind, _ in sent] == ["model"]
    assert "best" in sent[0][1]
    assert list((tmp_path / "wandb" / "artifacts" / "staging").iterdir())
