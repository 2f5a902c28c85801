"""Access and observing cost nothing where they are not used, and need no model."""

import subprocess
import sys

HEAVY = {"torch", "bentoml", "lightning", "webdataset", "opentelemetry.sdk"}


def modules_after(code):
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_middlewares_are_light():
    names = ("access.middleware", "observe.middleware", "observe.logs", "observe.trace_middleware")
    assert not modules_after("import " + ", ".join(f"serving.{name}" for name in names)) & HEAVY


def test_the_commands_are_lighter():
    assert not modules_after("import serving.access.commands") & {*HEAVY, "fastapi", "limits", "psutil"}
