"""The counts of a run, for whoever shows them; one thread writes, others may read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from serving.transcode.manifest import Record

# A failed file is shown by name up to here; the manifest has all.
MAX_FAILURES = 1000


@dataclass
class Tally:
    """Files and bytes of sources, and seconds of audio.

    `files` and `num_bytes` count what is of the kind that is transcoded; `ignored` counts what isn't. Of those,
    `unchanged` needed no work, `failed` can't be done, `done` were done by this run and have `audio_seconds`. Of files
    under way that take long it is known how far they are.
    """

    stage: str = "planning"
    files: int = 0
    num_bytes: int = 0
    ignored: int = 0
    unchanged: int = 0
    failed: int = 0
    quarantined: int = 0
    done: int = 0
    audio_seconds: float = 0.0
    bytes_before: int = 0
    bytes_settled: int = 0
    output_bytes: int = 0
    started: float = field(default_factory=time.monotonic)
    work_started: float | None = None
    failures: list[Record] = field(default_factory=list)
    on_failure: Callable[[Record], None] = lambda _: None
    _under_way: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def settled(self) -> int:
        """Files of which it is known what becomes of them."""
        return self.unchanged + self.failed + self.done

    @property
    def audio_seconds_so_far(self) -> float:
        """Seconds of audio that this run did, those of files under way too."""
        return self.audio_seconds + sum(seconds for _, seconds in tuple(self._under_way.values()))

    @property
    def real_time_factor(self) -> float:
        """Seconds of audio done in a second, since the work began."""
        return self.audio_seconds_so_far / self.work_seconds if self.work_seconds > 0 else 0.0

    @property
    def work_seconds(self) -> float:
        """How long the work has been going on."""
        return 0.0 if self.work_started is None else time.monotonic() - self.work_started

    @property
    def eta_seconds(self) -> float | None:
        """How long the rest will take, by its bytes, at the speed so far; None before anything was done."""
        so_far = self.bytes_settled + sum(num_bytes for num_bytes, _ in tuple(self._under_way.values()))
        done = so_far - self.bytes_before
        if self.work_started is None or done <= 0:
            return None
        return self.work_seconds * (self.num_bytes - so_far) / done

    def see(self, num_bytes: int) -> None:
        """Count a file that is to be transcoded."""
        self.files += 1
        self.num_bytes += num_bytes

    def settle(self, record: Record, *, worked: bool) -> None:
        """Count what became of a file; `worked` if this run did it."""
        self.take_back(record.source)
        self.bytes_settled += record.source_bytes
        if record.status == "failed":
            self.failed += 1
            self.quarantined += record.quarantined
            if len(self.failures) < MAX_FAILURES:
                self.failures.append(record)
            self.on_failure(record)
        elif worked:
            self.done += 1
            self.audio_seconds += record.seconds or 0.0
            self.output_bytes += record.output_bytes or 0
        else:
            self.unchanged += 1

    def advance(self, source: str, *, num_bytes: float, seconds: float) -> None:
        """Note how far a file is: so many of its bytes, and seconds of its audio."""
        self._under_way[source] = num_bytes, seconds

    def take_back(self, source: str) -> None:
        """Forget how far a file was."""
        self._under_way.pop(source, None)

    def begin_work(self) -> None:
        """Start the clock of the work itself."""
        self.stage = "running"
        self.bytes_before = self.bytes_settled
        self.work_started = time.monotonic()
