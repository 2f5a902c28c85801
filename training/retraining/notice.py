"""Telling whoever asked: a POST to an address, a command; each end once, and never a reason to fail."""

from __future__ import annotations

import json
import logging
import subprocess
import urllib.request
from typing import Any

from codec.files import write_text
from training.retraining.decision import Decision
from training.retraining.settings import Notify

TIMEOUT_S = 30
TOLD = "told.json"

log = logging.getLogger(__name__)


def was_told(decision: Decision) -> bool:
    """Whether everybody who asked knows how a retraining ended."""
    return (decision.folder / TOLD).exists()


def tell_decision(decision: Decision, notify: Notify) -> None:
    """Tell how a retraining ended, unless that was told before."""
    if was_told(decision):
        return
    message = {
        "event": decision.outcome,
        "model": decision.model,
        "candidate": decision.candidate,
        "production": decision.production,
        "reasons": list(decision.reasons),
        "folder": str(decision.folder),
    }
    if _tell(message, notify):
        write_text(decision.folder / TOLD, json.dumps(message, indent=1) + "\n")


def tell_failure(model: str, error: Exception, notify: Notify) -> None:
    """Tell that a retraining failed, and why."""
    message = {"event": "failed", "model": model, "reasons": [str(error)]}
    _tell(message, notify)


def _tell(message: dict[str, Any], notify: Notify) -> bool:
    """Send a message everywhere; return whether all of it arrived."""
    data = json.dumps(message).encode()
    arrived = True
    if notify.url:
        arrived &= _posted(notify.url, data)
    if notify.command:
        arrived &= _ran(notify.command, data)
    return arrived


def _posted(url: str, data: bytes) -> bool:
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310  # the operator's own
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
            return True
    except (OSError, ValueError) as error:
        log.warning("the notification to %s did not arrive: %s", url, error)
        return False


def _ran(command: tuple[str, ...], data: bytes) -> bool:
    try:
        subprocess.run(command, input=data, timeout=TIMEOUT_S, check=True, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("the notification by %s failed: %s", command[0], error)
        return False
    return True
