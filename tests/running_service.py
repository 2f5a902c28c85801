"""Services that run: an app in a thread, or ours in processes. Any test module can import it (pyproject.toml)."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

import httpx
import psutil
import uvicorn


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(app):
    """Serve an app on a port of its own, and yield the URL."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


@contextlib.contextmanager
def starting(log):
    """Yield what starts a command that serves, by one worker unless told otherwise.

    It returns a client once the service is ready, with the process.
    """
    with contextlib.ExitStack() as stack:

        def start(*words, cwd=None):
            port = free_port()
            command = [sys.executable, "-m", *map(str, words), "--port", str(port), "--host", "127.0.0.1"]
            environment = {"NACRE_WORKERS": "1", **os.environ, "OMP_NUM_THREADS": "1"}
            file = stack.enter_context(log.open("wb"))
            process = psutil.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=cwd)
            stack.callback(kill_family, process)
            client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60))
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                assert process.poll() is None, log.read_text()
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/readyz").status_code == 200:
                        return client, process
                time.sleep(0.2)
            raise AssertionError(log.read_text())

        yield start


@contextlib.contextmanager
def connections(client, many):
    """Open so many connections to a client's service, and yield their addresses here."""
    address = (client.base_url.host, client.base_url.port)
    with contextlib.ExitStack() as opened:
        yield {opened.enter_context(socket.create_connection(address)).getsockname() for _ in range(many)}


def taken_by_worker(mine, process):
    """Return how many of the connections each worker has that has any, once all were taken."""
    while True:
        theirs = [{tuple(end.raddr) for end in worker.net_connections("tcp")} for worker in process.children()]
        taken = [len(mine & there) for there in theirs]
        if sum(taken) == len(mine):
            return [count for count in taken if count]


def await_workers(client, process, many):
    """Wait until so many workers take connections: a service is ready when the first does."""
    deadline = time.monotonic() + 60
    while True:
        with connections(client, 4 * many) as mine:
            if len(taken_by_worker(mine, process)) == many:
                return
        assert time.monotonic() < deadline


def kill_family(process):
    if process.is_running():
        for member in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()


def stop(process, how):
    family = process.children(recursive=True)
    assert family
    process.send_signal(how)
    assert process.wait(20) == 0
    assert psutil.wait_procs(family, timeout=5)[1] == []
