"""Log lines: one a request, with what is needed and nothing secret."""

import io
import json
import logging
import re
import subprocess
import sys

import pytest

from codec.errors import NacreError
from serving.access.key import make_key
from serving.observe.logs import configure_logging


@pytest.fixture
def stderr():
    """Return a buffer to log to; put pytest's own handlers back afterwards."""
    buffer = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    names = ("nacre", "bentoml", "bentoml.access", "uvicorn", "uvicorn.access", "uvicorn.error", "circus")
    before = {name: (logging.getLogger(name).level, logging.getLogger(name).handlers[:]) for name in names}
    yield buffer
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, (old_level, old_handlers) in before.items():
        logging.getLogger(name).setLevel(old_level)
        logging.getLogger(name).handlers[:] = old_handlers


@pytest.fixture
def configure(stderr, monkeypatch):
    """Return what configures logging to the buffer: between set-up and test, pytest sets stderr anew."""

    def configure():
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stderr)
            configure_logging()

    return configure


@pytest.fixture
def lines(stderr, configure):
    configure()

    def lines(logger=None):
        found = [json.loads(line) for line in stderr.getvalue().splitlines()]
        return [line for line in found if logger in (None, line["logger"])]

    return lines


def test_a_request_has_one_line(client, lines):
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"X-Request-ID": "mine", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    client.post("/v1/encode?bitrate_kbps=6&secret=1", content=b"12345", headers=headers)
    (line,) = lines("nacre.requests")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line.pop("ms") >= 0
    assert line == {
        "level": "INFO",
        "logger": "nacre.requests",
        "message": "POST /v1/encode 200",
        "method": "POST",
        "route": "/v1/encode",
        "status": 200,
        "bytes_in": 5,
        "bytes_out": 11,
        "owner": "alice",
        "model": "speech",
        "query": {"bitrate_kbps": "6"},
        "request_id": "mine",
        "trace_id": trace,
    }


def test_lines_written_meanwhile_have_the_requests_name(client, lines):
    client.post("/v1/encode", headers={"X-Request-ID": "mine"})
    logging.getLogger("nacre.test").warning("afterwards")
    meanwhile, afterwards = lines("nacre.test")
    assert (meanwhile["message"], meanwhile["request_id"]) == ("working", "mine")
    assert "request_id" not in afterwards


def test_failures(client, lines):
    client.get("/v1/broken", headers={"X-Request-ID": "mine"})
    (reason,) = lines("nacre.serving")
    assert "an accident" in reason["exc_info"]
    assert reason["request_id"] == "mine"
    (line,) = lines("nacre.requests")
    assert (line["level"], line["status"]) == ("WARNING", 500)
    client.get("/v1/refused")
    assert lines("nacre.requests")[-1]["code"] == "overloaded"


def test_only_paths_without_a_route_are_shown(client, lines):
    client.get("/v1/jobs/not-a-number")
    client.get("/no%0Awhere/" + "x" * 1000)
    job, nowhere = lines("nacre.requests")
    assert "path" not in job
    assert "not-a-number" not in str(job)
    assert nowhere["path"].startswith("/no\nwhere")
    assert len(nowhere["path"]) <= 256


def test_sockets_and_cut_answers(client, lines):
    with client.websocket_connect("/v1/stream/encode") as socket:
        socket.send_text("1000")
        socket.close()
    (line,) = lines("nacre.requests")
    assert (line["method"], line["route"]) == ("WS", "/v1/stream/{way}")
    assert line["status"] == 1000
    client.get("/v1/cut")
    assert lines("nacre.requests")[-1]["aborted"] is True


def test_probes_are_quiet_unless_asked_for(client, lines, configure, monkeypatch):
    client.get("/livez")
    assert lines() == []
    monkeypatch.setenv("NACRE_LOG_LEVEL", "debug")
    configure()
    client.get("/livez")
    assert lines("nacre.requests")[0]["level"] == "DEBUG"


def test_nothing_secret(client, lines, stderr):
    text = make_key("alice", requests_per_minute=1, concurrency=1).text
    headers = {"Authorization": f"Bearer {text}", "Cookie": "session=hush"}
    client.post(f"/v1/encode?key={text}&model={text}", headers=headers)
    client.get(f"/nowhere/{text}", headers=headers)
    logging.getLogger("nacre.test").warning("header %s", headers)
    logging.getLogger("elsewhere").error("Authorization: Bearer hush.hush-hush=")
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("nacre.test").exception("failed")
    assert text.rpartition("_")[2] not in stderr.getvalue()
    assert "hush.hush" not in stderr.getvalue()
    assert text.rpartition("_")[0] in stderr.getvalue()  # whose it was
    assert "session" not in str(lines("nacre.requests"))


def test_no_access_log_but_ours(lines):
    for name in ("uvicorn.access", "bentoml.access", "uvicorn.error"):
        logging.getLogger(name).info("GET / 200")
    logging.getLogger("uvicorn.error").warning("shown")
    logging.getLogger("bentoml.serve").info("shown too")
    assert [line["message"] for line in lines()] == ["shown", "shown too"]


def test_people_read_text(client, stderr, configure):
    stderr.isatty = lambda: True
    configure()
    client.post("/v1/encode?model=speech", content=b"12345", headers={"X-Request-ID": "mine"})
    working, line = stderr.getvalue().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING working request_id=mine", working)
    assert re.match(r"\d\d:\d\d:\d\d INFO    POST /v1/encode 200 .*ms=[\d.]+ bytes_in=5", line)
    assert line.endswith("request_id=mine")
    logging.getLogger("nacre.test").warning("two\nlines \x1b[31m")
    assert stderr.getvalue().splitlines()[-1].endswith(r"two\nlines \x1b[31m")


def test_a_level_that_is_none(monkeypatch):
    monkeypatch.setenv("NACRE_LOG_LEVEL", "LOUD")
    with pytest.raises(NacreError, match="NACRE_LOG_LEVEL is 'LOUD'"):
        configure_logging()


def test_bentomls_own_logging_is_replaced():
    script = """
import logging
from bentoml._internal.log import configure_server_logging
configure_server_logging()
from serving.observe.logs import configure_logging
configure_logging()
logging.getLogger("bentoml.access").info("GET / 200")
logging.getLogger("bentoml.serve").info("once")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("{")]
    assert json.loads(line)["message"] == "once"
