"""Serving pulls nothing of training, and torch only where there is a model."""

import subprocess
import sys

import pytest

FOREIGN = ("lightning", "pytorch_lightning", "webdataset", "wandb", "auraloss", "matplotlib")


def modules_after(code):
    script = f"import sys\n{code}\nprint('modules:', *{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("modules:")[2].split())


@pytest.mark.parametrize(
    "module",
    [
        "serving",
        "serving.app",
        "serving.engine",
        "serving.commands",
        "serving.jobs.runner",
        "serving.transcode.coordinator",
        "serving.transcode.engines.local",
        "serving.transcode.verify.pool",
        "serving.transcode.verify.run",
    ],
)
def test_modules_without_torch(module):
    loaded = modules_after(f"import {module}")
    assert not loaded & {*FOREIGN, "torch", "bentoml"}


def test_the_service_module_leaves_torch_to_the_workers():
    loaded = modules_after("import serving.service")
    assert "bentoml" in loaded
    assert not loaded & {*FOREIGN, "torch"}


def test_local_commands_pull_nothing_of_training(package, make_audio, tmp_path):
    (tmp_path / "a.wav").write_bytes(make_audio())
    words = ["nacre", "encode", str(tmp_path / "a.wav"), str(tmp_path / "a.nac"), "--model", str(package)]
    code = f"import nacre; nacre.cli({words[1:]!r}, standalone_mode=False); import serving.transcode"
    loaded = modules_after(code)
    assert (tmp_path / "a.nac").exists()
    assert "torch" in loaded
    assert not loaded & {*FOREIGN, "bentoml", "fastapi"}
