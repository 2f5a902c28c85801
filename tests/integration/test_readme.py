"""Every command of the README runs, in its order; those that set up and the one that downloads are left out."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.needs_tool("bash", "curl")]

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("make ", "nacre audio fetch pool --kind")
SERVE = "nacre serve "


@pytest.fixture
def folder(tmp_path):
    """A working folder that has what the README's commands name."""
    for name in ("tests", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    clips = sorted((ROOT / "tests" / "data").glob("speech_*.flac"))
    for name, chosen in (("ARCHIVE", clips[:2]), ("INBOX", clips[2:8]), ("CLIPS", clips[8:10])):
        (tmp_path / name).mkdir()
        for clip in chosen:
            shutil.copy(clip, tmp_path / name)
    write_wav(clips[0], tmp_path / "clip.wav")
    return tmp_path


def write_wav(clip, path):
    from codec.audio import read_audio, write_audio

    write_audio(path, read_audio(clip))


def commands():
    """Return the lines of the README's shell blocks, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = [re.sub(r"\s+#.*", "", line).strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith(LEFT_OUT)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(port, server):
    deadline = time.monotonic() + 90
    while True:
        assert server.poll() is None
        assert time.monotonic() < deadline
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)


def test_every_command_runs(folder):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    options = {"cwd": folder, "env": {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}}
    port, server = free_port(), None
    try:
        for command in commands():
            if command.startswith(SERVE):
                server = subprocess.Popen([*command.split(), "--port", str(port)], stderr=subprocess.DEVNULL, **options)
                wait_until_ready(port, server)
                continue
            here = command.replace("127.0.0.1:3000", f"127.0.0.1:{port}").replace("curl ", "curl --fail ")
            result = subprocess.run(["bash", "-c", here], capture_output=True, text=True, timeout=600, **options)
            assert result.returncode == 0, f"{command}\n{result.stderr}"
    finally:
        if server is not None:
            server.terminate()
            server.wait(30)
    decoded, original = (folder / name for name in ("decoded.wav", "clip.wav"))
    assert decoded.stat().st_size == original.stat().st_size
    assert sorted(path.name for path in (folder / "CODED").glob("*.nac")) == sorted(
        f"{path.name}.nac" for path in (folder / "ARCHIVE").iterdir()
    )
