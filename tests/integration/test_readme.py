"""Every command of the README runs, in its order; those that set up, download, or run for ever are left out."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from running_service import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.needs_tool("bash", "curl")]

ROOT = Path(__file__).parents[2]
LEFT_OUT = ("make ", "nacre audio fetch pool --kind", "nacre retrain daemon", "nacre retrain web")
SERVE = "nacre serve"
# Of each clip.
SECONDS = 3.0


@pytest.fixture
def folder(tmp_path):
    """A working folder that has what the README's commands name: short clips, and a debug.yaml of few steps."""
    clips = sorted((ROOT / "tests" / "data").glob("*.flac"))
    speech = [clip for clip in clips if clip.name.startswith("speech")]
    folders = {"tests/data": clips, "ARCHIVE": speech[:2], "INBOX": speech[2:8], "CLIPS": speech[8:10]}
    for name, chosen in folders.items():
        (tmp_path / name).mkdir(parents=True)
        for clip in chosen:
            write_start(clip, tmp_path / name / clip.name)
    write_start(speech[0], tmp_path / "clip.wav")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    debug = tmp_path / "configs" / "train" / "debug.yaml"
    config = yaml.safe_load(debug.read_text())
    config["trainer"] |= {"max_steps": 40, "val_check_interval": 20}
    config["model"]["discriminator"] |= {"start_step": 20, "lead_steps": 5}
    config["model"]["quantizer"]["start_step"] = 10
    config["run"]["checkpoint_every_n_steps"] = 20
    debug.write_text(yaml.safe_dump(config))
    return tmp_path


def write_start(clip, path):
    from codec.audio import Audio, read_audio, write_audio

    audio = read_audio(clip)
    samples = audio.samples[:, : int(SECONDS * audio.sample_rate)]
    write_audio(path, Audio(samples=samples, sample_rate=audio.sample_rate))


def commands():
    """Return the lines of the README's shell blocks, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = [re.sub(r"\s+#.*", "", line).strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith(LEFT_OUT)]


def programs():
    """Return the README's Python blocks."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


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


def stop(server):
    if server is not None:
        server.terminate()
        server.wait(30)


def test_every_command_runs(folder):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    options = {"cwd": folder, "env": {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}}
    port, server = free_port(), None
    try:
        for command in commands():
            if command.startswith(SERVE):
                stop(server)
                server = subprocess.Popen([*command.split(), "--port", str(port)], stderr=subprocess.DEVNULL, **options)
                wait_until_ready(port, server)
                continue
            here = command.replace("127.0.0.1:3000", f"127.0.0.1:{port}").replace("curl ", "curl --fail ")
            result = subprocess.run(["bash", "-c", here], capture_output=True, text=True, timeout=600, **options)
            assert result.returncode == 0, f"{command}\n{result.stderr}"
        for program in programs():
            here = program.replace("127.0.0.1:3000", f"127.0.0.1:{port}")
            subprocess.run([sys.executable, "-c", here], check=True, timeout=60, **options)
    finally:
        stop(server)
    decoded, original = (folder / name for name in ("decoded.wav", "clip.wav"))
    assert decoded.stat().st_size == original.stat().st_size
    assert sorted(path.name for path in (folder / "CODED" / "data").glob("*.nac")) == sorted(
        f"{path.name}.nac" for path in (folder / "ARCHIVE").iterdir()
    )
