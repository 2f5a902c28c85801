import http.server
import json
import sys
import threading

import pytest

from training.retraining.decision import Decision
from training.retraining.notice import tell_decision, tell_failure
from training.retraining.settings import Notify


@pytest.fixture
def decision(tmp_path):
    return Decision(
        model="voice", outcome="rejected", candidate=3, production=2, reasons=("worse",), folder=tmp_path / "retraining"
    )


@pytest.fixture
def hook():
    """A web server that keeps what it is sent."""
    received = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Notify(url=f"http://127.0.0.1:{server.server_port}/hook"), received
        server.shutdown()


def test_a_decision_is_posted_once(decision, hook):
    notify, received = hook
    tell_decision(decision, notify)
    tell_decision(decision, notify)
    assert [message["event"] for message in received] == ["rejected"]
    assert received[0]["reasons"] == ["worse"]
    assert received[0]["candidate"] == 3


def test_a_failure_is_posted(hook):
    notify, received = hook
    tell_failure("voice", RuntimeError("training ended"), notify)
    assert received == [{"event": "failed", "model": "voice", "reasons": ["training ended"]}]


def test_a_command_gets_it_on_its_input(decision, tmp_path):
    program = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"
    tell_decision(decision, Notify(command=(sys.executable, "-c", program, str(tmp_path / "got.json"))))
    assert json.loads((tmp_path / "got.json").read_text())["event"] == "rejected"


@pytest.mark.parametrize(
    "notify", [Notify(url="http://127.0.0.1:9/"), Notify(command=("false",)), Notify(command=("no-such-program",))]
)
def test_what_does_not_arrive_is_a_warning_and_told_again(decision, notify, caplog, hook):
    tell_decision(decision, notify)
    assert "notification" in caplog.text
    working, received = hook
    tell_decision(decision, working)
    assert len(received) == 1
