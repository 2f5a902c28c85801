"""Memory that requests have left goes back to the system.

glibc gives back by itself only what lies at the very end of its heap. After hours of bodies and activations of all
sizes most of what is free lies between what isn't, and a worker would keep the size that it had at its busiest.
"""

from __future__ import annotations

import ctypes
import threading

# What processes with a model in them are started with, the service's and transcoding's.
WORKER_ENVIRONMENT = {
    # Each of many threads would keep an arena as large as its largest request; with the main thread's alone the model
    # is slower.
    "MALLOC_ARENA_MAX": "2",
    # What is free beyond 32 MiB is given back. Left alone, glibc keeps twice the largest block that it ever saw, or
    # gives back between batches what the next one takes anew.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
}
# Takes 4 to 15 ms under load, and a third of one when there is nothing to give.
TRIM_SECONDS = 2.0


class MemoryTrimmer:
    """Gives free memory back every few seconds, in a thread; where the C library isn't glibc it does nothing."""

    def __init__(self, every_s: float = TRIM_SECONDS) -> None:
        self._every_s = every_s
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin."""
        if self._trim is not None:
            threading.Thread(target=self._run, name="nacre-trim", daemon=True).start()

    def stop(self) -> None:
        """End, at the next time it would."""
        self._stopped.set()

    def _run(self) -> None:
        assert self._trim is not None, "start() asks"
        while not self._stopped.wait(self._every_s):
            self._trim(0)
