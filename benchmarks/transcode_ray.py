"""What Ray costs beside the local engine, for 100 ms, 1 s and 10 s of work a file.

    python benchmarks/transcode_ray.py [--json] [--rounds 3]

Both engines run as they are, with as many workers as cores, but workers are stand-ins that do a fixed amount of
computing for each file and nothing else. Each run is a program of its own, engines in turn.

 - `efficiency`: computing by time, from a worker's first file to its last, over all workers: what is missing from 1 is
   waiting for tasks, and cores taken away by the engine's own processes.
 - `ray_overhead`: the local engine's efficiency by Ray's, less 1, for each amount of work.
 - `start_s`: from nothing to the first file at work, with torch imported but no model loaded.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if not __package__:  # Run as a file: beside it `codec` would be this module.
    sys.path[0] = str(Path(__file__).parents[1])

from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine
from codec.errors import NacreError
from registry.resolve import resolve_package
from registry.shipped import DEFAULT_MODEL
from serving.transcode.engines import Batch, Engine
from serving.transcode.engines.local import LocalEngine
from serving.transcode.engines.ray import RayEngine
from serving.transcode.entry import Entry, Locator
from serving.transcode.settings import Settings
from serving.transcode.work import Job, Outcome, Task

ROOT = Path(__file__).parents[1]
CORES = len(os.sched_getaffinity(0))
# seconds of work: files a core, and in a batch, as the coordinator makes batches of files that take so long
AMOUNTS = {0.1: (100, 8), 1.0: (16, 8), 10.0: (3, 1)}
_BLOCK = bytes(1 << 16)


@dataclass(frozen=True, kw_only=True)
class StandInJob(Job):
    """A job whose workers compute for `work_s` instead of transcoding, in whatever process it arrives."""

    work_s: float

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return _arrive, (fields,)


def _arrive(fields: dict[str, Any]) -> StandInJob:
    import serving.transcode.worker

    serving.transcode.worker.Worker = StandIn  # type: ignore[assignment,misc]
    return StandInJob(**fields)


class StandIn:
    """Computes; says in each outcome's reason which process did, from when until when."""

    def __init__(self, job: StandInJob) -> None:
        self._work_s = job.work_s

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Do tasks."""
        for task in tasks:
            start, until = time.monotonic(), time.thread_time() + self._work_s
            while time.thread_time() < until:
                hashlib.sha256(_BLOCK).digest()
            yield Outcome(source=task.entry.name, status="done", reason=f"{os.getpid()} {start} {time.monotonic()}")


def run_once(engine: str, work_s: float) -> dict[str, float]:
    """Return an engine's efficiency, and how long its first worker took to be at work."""
    from benchmarks.transcode_ray import StandInJob  # as other processes will know it

    made: Engine = RayEngine() if engine == "ray" else LocalEngine()
    spans: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "source").write_bytes(b"source")
        job = StandInJob(
            package=resolve_package(DEFAULT_MODEL),
            settings=Settings(),
            target=str(folder / "target"),
            scratch=folder / "scratch",
            work_s=work_s,
        )
        begin = time.monotonic()
        for outcome in made.run(job, _batches(folder / "source", *AMOUNTS[work_s])):
            if not isinstance(outcome, Outcome) or outcome.reason is None:
                raise NacreError(f"a worker died, or did not do its work: {outcome}")
            worker, start, end = outcome.reason.split()
            spans.setdefault(worker, []).append((float(start), float(end)))
    times = [sorted(values) for values in spans.values()]
    took = sum(values[-1][1] - values[0][0] for values in times)
    return {
        "efficiency": work_s * sum(map(len, times)) / took,
        "start_s": min(values[0][0] for values in times) - begin,
    }


def _batches(source: Path, files_a_core: int, files_a_batch: int) -> Iterator[Batch]:
    locator = Locator(url=str(source))
    names = [f"{number}.wav" for number in range(CORES * files_a_core)]
    for first in range(0, len(names), files_a_batch):
        entries = (Entry(name=name, size=6, stamp="", locator=locator) for name in names[first : first + files_a_batch])
        yield [Task(entry=entry, payload=f"{entry.name}.nac") for entry in entries]


def compare(work_s: float, rounds: int) -> dict[str, dict[str, float]]:
    """Return each engine's medians."""
    runs: dict[str, list[dict[str, float]]] = {"local": [], "ray": []}
    for number in range(rounds):
        for engine, results in runs.items():
            print(f"{work_s} s a file: {engine}, round {number + 1} of {rounds}", file=sys.stderr)
            words = ["-m", "benchmarks.transcode_ray", "--once", engine, "--work-seconds", str(work_s)]
            done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, check=True, cwd=ROOT)
            results.append(json.loads(done.stdout))
    return {
        engine: {key: statistics.median(result[key] for result in results) for key in ("efficiency", "start_s")}
        for engine, results in runs.items()
    }


def overheads(console: Console, rounds: int) -> dict[str, Any]:
    """Measure all, show it, and return the figures."""
    table = Table("work a file", "local", "Ray", "overhead", "local starts in", "Ray starts in")
    overhead, details = {}, {}
    for work_s in AMOUNTS:
        figures = compare(work_s, rounds)
        local, ray = figures["local"], figures["ray"]
        key = f"{work_s:g} s"
        overhead[key], details[key] = local["efficiency"] / ray["efficiency"] - 1, figures
        efficiencies = [f"{each['efficiency']:.1%}" for each in (local, ray)]
        starts = [f"{each['start_s']:.1f} s" for each in (local, ray)]
        table.add_row(key, *efficiencies, f"{overhead[key]:.1%}", *starts)
    console.print(table)
    return {"ray_overhead": overhead, "details": details}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", choices=["local", "ray"], help=argparse.SUPPRESS)
    parser.add_argument("--work-seconds", type=float, choices=list(AMOUNTS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        print(json.dumps(run_once(arguments.once, arguments.work_seconds)))
        return
    console = Console(stderr=arguments.json)
    console.print(describe_machine())
    result = overheads(console, arguments.rounds)
    print(json.dumps(result)) if arguments.json else console.print_json(json.dumps(result))


if __name__ == "__main__":
    main()
