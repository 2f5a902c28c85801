"""What goes to workers and comes back: jobs, tasks, how far those are, and outcomes; plain values, to be pickled."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from codec.audio import AudioLimits
from serving.transcode.entry import Entry
from serving.transcode.settings import Settings

if TYPE_CHECKING:
    from codec.compress_blocks import Progress

# A file that takes constant memory may be this long.
MAX_SECONDS = 100 * 3600.0
# How often it is told of a file how far it is.
ADVANCE_SECONDS = 1.0

# Files that a worker works on at once. On a CPU short files are faster together: most of what decoding them takes, the
# entropy coding, takes hardly longer for many. A GPU wants many windows, and those of one file follow each other.
CPU_ENCODED, CPU_DECODED, GPU_FILES = 8, 32, 16

# `unchanged`: the content is the known one, so nothing was done. `blocked`: the output can't be written, which is not
# the file's fault, and all work has to stop.
Status = Literal["done", "unchanged", "failed", "blocked"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that a worker needs to know, on any machine that sees `target`.

    `package` is the model's directory, verified. `target` is the local path or fsspec URL under which outputs go.
    `scratch` is a folder for what has to be a file for a while; it is made where a worker needs it.
    """

    package: Path
    settings: Settings
    target: str
    scratch: Path
    limits: AudioLimits = field(default_factory=lambda: AudioLimits(max_seconds=MAX_SECONDS))
    device: str = "cpu"

    @property
    def files_at_once(self) -> int:
        """How many files a worker works on at once."""
        if self.device != "cpu":
            return GPU_FILES
        return CPU_DECODED if self.settings.decode else CPU_ENCODED


@dataclass(frozen=True, kw_only=True)
class Task:
    """One entry's work: its output goes to `payload`, a name under the job's target.

    With `known_sha256`, an entry of that very content needs no work.
    """

    entry: Entry
    payload: str
    known_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Advance:
    """How far a task is that takes long; `source` is its entry's name.

    So many `seconds` of its audio are done, of about so many in all.
    """

    source: str
    seconds: float
    all_seconds: float

    @property
    def share(self) -> float:
        """How much of the file is done, from 0 to 1."""
        return min(1.0, self.seconds / self.all_seconds) if self.all_seconds else 1.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a task; `source` is its entry's name.

    What is done has `seconds` of audio, the checksums of both sides, and the output's size; what is not has a `reason`.
    """

    source: str
    status: Status
    reason: str | None = None
    seconds: float | None = None
    source_sha256: str | None = None
    output_bytes: int | None = None
    output_sha256: str | None = None


# What a worker tells of its tasks.
News = Advance | Outcome
# Told of a task, while it goes on.
Tell = Callable[[Advance], None]


def advancing(source: str, tell: Tell) -> Progress:
    """Return what tells how far a task is, now and then."""
    due = time.monotonic() + ADVANCE_SECONDS

    def progress(seconds: float, all_seconds: float) -> None:
        nonlocal due
        if (now := time.monotonic()) >= due:
            due = now + ADVANCE_SECONDS
            tell(Advance(source=source, seconds=seconds, all_seconds=all_seconds))

    return progress
