"""Workers that share one address even out: the loads they tell each other, and connections that they let go."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from serving.balance import PAUSE_SECONDS, WINDOW_SECONDS, BalanceMiddleware, LoadBoard

ROOT = Path(__file__).parents[2]
OTHER = """
import sys
from pathlib import Path
from serving.balance import LoadBoard
board = LoadBoard(Path(sys.argv[1]))
board.set_connections(None if sys.argv[3] == "None" else int(sys.argv[3]))
for _ in range(int(sys.argv[2])):
    board.enter()
print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def board(tmp_path, clock):
    clock.pass_by(1)
    return LoadBoard(tmp_path, clock)


@pytest.fixture
def start_other(tmp_path, clock):
    """Return what starts another worker with requests that don't end; its clock is the real one, which is far ahead."""
    others = []

    def start(requests, connections=0):
        command = [sys.executable, "-c", OTHER, str(tmp_path), str(requests), str(connections)]
        other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        others.append(other)
        assert other.stdout.readline() == "ready\n"
        return other

    yield start
    for other in others:
        other.kill()
        other.communicate()


def adopt(tmp_path):
    """Make the other's file look like that of a worker of the same parent."""
    for path in tmp_path.glob(f"load-{os.getpid()}-*"):
        path.rename(path.with_name(path.name.replace(f"load-{os.getpid()}-", f"load-{os.getppid()}-")))


def answer(board):
    """Return the headers of an answer of a worker."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b""})

    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(BalanceMiddleware(app, board)({"type": "http"}, None, send))
    return sent[0]["headers"]


def test_alone_it_keeps_every_connection(board):
    for _ in range(9):
        board.enter()
    assert answer(board) == [(b"a", b"b")]


@pytest.mark.parametrize(("others", "hands_over"), [(0, True), (1, True), (2, False), (9, False)])
def test_the_busier_by_two_hands_over(board, start_other, tmp_path, others, hands_over):
    start_other(others)
    adopt(tmp_path)
    for _ in range(2):
        board.enter()
    assert answer(board) == [(b"a", b"b"), *[(b"connection", b"close")] * hands_over]  # the one answered is the third


def test_half_of_what_is_more_goes_at_a_time(board, start_other, tmp_path, clock):
    start_other(0)
    adopt(tmp_path)
    for _ in range(5):
        board.enter()
    assert [board.hands_over() for _ in range(4)] == [True, True, False, False]
    clock.pass_by(PAUSE_SECONDS / 2)
    assert not board.hands_over()
    clock.pass_by(PAUSE_SECONDS)
    assert [board.hands_over() for _ in range(4)] == [True, True, False, False]


@pytest.mark.parametrize(("seconds", "counts"), [(1.5 * WINDOW_SECONDS, True), (2.5 * WINDOW_SECONDS, False)])
def test_the_peak_counts_until_it_is_two_windows_old(board, start_other, tmp_path, clock, seconds, counts):
    start_other(0)
    adopt(tmp_path)
    for _ in range(5):
        board.enter()
    for _ in range(5):
        board.leave()
    clock.pass_by(seconds)
    assert board.hands_over() == counts


def test_a_worker_that_died_takes_nothing(board, start_other, tmp_path):
    other = start_other(0)
    adopt(tmp_path)
    other.kill()
    other.wait()
    for _ in range(9):
        board.enter()
    assert not board.hands_over()
    assert len(list(tmp_path.glob("load-*"))) == 1


def test_a_worker_that_takes_no_connections_counts_for_nothing(board, start_other, tmp_path):
    start_other(0, None)
    adopt(tmp_path)
    for _ in range(9):
        board.enter()
    assert not board.hands_over()
    assert not board.has_more_connections(9)


@pytest.mark.parametrize(("count", "more"), [(2, False), (3, False), (4, True)])
def test_more_connections(board, start_other, tmp_path, count, more):
    start_other(0, 3)
    adopt(tmp_path)
    assert board.has_more_connections(count) == more


def test_workers_of_another_service_take_nothing(board, start_other):
    start_other(0)
    for _ in range(9):
        board.enter()
    assert not board.hands_over()


def test_an_open_websocket_counts_and_is_left_alone(board):
    async def app(scope, receive, send):
        assert not board.hands_over()
        await send({"type": "websocket.accept"})

    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(BalanceMiddleware(app, board)({"type": "websocket"}, None, send))
    assert sent == [{"type": "websocket.accept"}]
