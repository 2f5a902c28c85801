"""The daemon: Dagster's, with its home under NACRE_HOME, our definitions, no telemetry and no web port.

What an earlier daemon left running when everything was killed is reaped first: Dagster itself would take it for running
for ever, and nothing would begin again.
"""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

from codec.errors import MissingToolError, RunError
from codec.files import write_text
from codec.home import nacre_home
from training.retraining.settings import read_settings

SETTINGS = "NACRE_RETRAIN_SETTINGS"
DEFINITIONS = "training.retrain"
# One retraining at a time. Steps that fail are tried again by themselves; this is for a process that was killed.
DAGSTER_YAML = """\
telemetry:
  enabled: false
concurrency:
  runs:
    tag_concurrency_limits:
      - key: nacre/retrain
        limit: 1
run_retries:
  enabled: true
  max_retries: 2
  retry_on_asset_or_op_failure: false
"""


def run_daemon(settings: Path) -> None:
    """Become the daemon; it ends by a signal.

    Raises:
        RunError: The settings are bad, or a daemon is running already.
        MissingToolError: Dagster is not installed.
    """
    prepare(settings)
    _hold_for_life(nacre_home() / "retrain" / "dagster" / "daemon.lock")
    reap()
    os.execv(sys.executable, [sys.executable, "-m", "dagster._daemon", "run", "-m", DEFINITIONS])  # noqa: S606


def run_web(settings: Path, port: int) -> None:
    """Become the web server of the daemon's home.

    Raises:
        RunError: The settings are bad.
        MissingToolError: dagster-webserver is not installed.
    """
    import importlib.util

    prepare(settings)
    if importlib.util.find_spec("dagster_webserver") is None:
        raise MissingToolError("the page needs the package dagster-webserver: pip install dagster-webserver")
    words = ["-m", "dagster_webserver", "-m", DEFINITIONS, "-h", "127.0.0.1", "-p", str(port)]
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606


def prepare(settings: Path) -> None:
    """Check the settings, and point this process and its children to them and to Dagster's home.

    Raises:
        RunError: The settings are bad.
        MissingToolError: Dagster is not installed.
    """
    import importlib.util

    if importlib.util.find_spec("dagster") is None:
        raise MissingToolError("the daemon needs Dagster: pip install 'nacre[retrain]'")
    read_settings(settings, {}).key()
    home = nacre_home() / "retrain" / "dagster"
    write_text(home / "dagster.yaml", DAGSTER_YAML)
    os.environ |= {SETTINGS: str(settings.absolute()), "DAGSTER_HOME": str(home)}


def reap() -> list[str]:
    """Report runs as failed that an earlier daemon left, so that they are tried again; return their ids."""
    import dagster as dg

    status = dg.DagsterRunStatus
    under_way = [status.STARTING, status.STARTED, status.CANCELING]
    with dg.DagsterInstance.get() as instance:
        orphans = instance.get_runs(dg.RunsFilter(statuses=under_way))
        for run in orphans:
            instance.report_run_failed(run, "its daemon ended while it ran")
        return [run.run_id for run in orphans]


def _hold_for_life(lock: Path) -> None:
    """Hold a lock until this process ends, whatever program it becomes."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RunError("a retraining daemon is running already under this NACRE_HOME: stop it first") from None
    os.set_inheritable(descriptor, True)
