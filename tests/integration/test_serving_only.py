"""The serving rooms in an environment that has the serving dependencies alone (`make serving-env`)."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-serving" / "bin" / "python"
FORBIDDEN = {"lightning", "pytorch_lightning", "webdataset", "wandb", "auraloss"}
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for room in ("codec", "registry", "serving")
    for path in (ROOT / room).rglob("*.py")
)


@pytest.fixture(autouse=True)
def environment():
    if not PYTHON.exists():
        message = "there is no serving-only environment: run `make serving-env`"
        pytest.fail(message) if os.environ.get("NACRE_CI") == "1" else pytest.skip(message)


def test_it_lacks_the_training_libraries():
    found = f"[name for name in {sorted(FORBIDDEN)} if importlib.util.find_spec(name)]"
    code = f"import importlib.util, json; print(json.dumps({found}))"
    assert json.loads(subprocess.check_output([PYTHON, "-c", code], cwd=ROOT)) == []


def test_every_module_of_the_serving_rooms_imports_there():
    code = f"import importlib\nfor name in {MODULES}: importlib.import_module(name)"
    result = subprocess.run([PYTHON, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_command_line_works_there():
    result = subprocess.run([PYTHON, "-m", "nacre", "encode", "--help"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0
    assert "--bitrate-kbps" in result.stdout
