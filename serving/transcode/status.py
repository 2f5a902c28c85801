"""The status file: what a run is at, for other processes; a reader always finds a whole one."""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from serving.transcode.order import Order
from serving.transcode.tally import Tally

STATUS = "status.json"


class StatusFile:
    """Written beside its place and renamed, as long as its folder is there."""

    def __init__(self, path: Path, order: Order) -> None:
        self._path = path
        self._facts = {
            "source": order.source,
            "target": order.target,
            "part": None if order.part is None else f"{order.part.number}/{order.part.count}",
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started_at": _now(),
        }

    def show(self, tally: Tally) -> None:
        """Write how far the run is."""
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with suppress(OSError):
            temporary.write_text(json.dumps({**self._facts, "updated_at": _now(), **describe(tally)}, indent=1) + "\n")
            temporary.replace(self._path)


def describe(tally: Tally) -> dict[str, Any]:
    """Return a run's counts as they stand in the status file."""
    eta = tally.eta_seconds
    return {
        "stage": tally.stage,
        "files": tally.files,
        "done": tally.done,
        "unchanged": tally.unchanged,
        "failed": tally.failed,
        "quarantined": tally.quarantined,
        "ignored": tally.ignored,
        "source_bytes": tally.num_bytes,
        "settled_bytes": tally.bytes_settled,
        "output_bytes": tally.output_bytes,
        "audio_seconds": round(tally.audio_seconds_so_far, 3),
        "work_seconds": round(tally.work_seconds, 3),
        "real_time_factor": round(tally.real_time_factor, 2),
        "eta_seconds": None if eta is None else round(eta, 1),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
