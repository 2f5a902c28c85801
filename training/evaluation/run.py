"""Score every clip at every operating point, on all cores, one thread each; go on where an earlier run stopped.

    OUT/scores.jsonl   one line for each clip and point, as soon as it is known
    OUT/.lock          held while an evaluation runs

A line is trusted by its key: what the clip, the codec and the metrics were. So a changed clip or model is scored anew,
and a torn last line costs its own work alone. Times are measured while the other cores are busy with the same.
Processes end when the one that started them does, even if it is killed; for little audio none is started.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from codec.audio import read_audio
from codec.errors import CapabilityError, MissingToolError, RunError
from codec.locking import locked
from data_pipelines.progress import progress_bar
from data_pipelines.workers import end_with_parent
from training.evaluation.clips import ClipFile
from training.evaluation.codecs.base import OperatingPoint
from training.evaluation.scores import Clip, Score, is_speech, point_name
from training.metrics import MetricName, measure
from training.perceptual import INSTALL, INSTALL_DISTILLMOS, installed

SCORES = "scores.jsonl"
VERSION = 1
EVERYWHERE: tuple[MetricName, ...] = ("mel_distance", "log_spectral_distance_db", "si_sdr_db", "bandwidth_khz")
OF_SPEECH: tuple[MetricName, ...] = ("pesq", "stoi", "visqol_speech", "distillmos")
OF_OTHERS: tuple[MetricName, ...] = ("visqol_audio",)
# Starting a process takes as long as scoring so much audio.
SECONDS_PER_PROCESS = 40.0


# A clip, and a codec at a bitrate to score on it.
Task = tuple[ClipFile, OperatingPoint]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One clip at one operating point, to be scored by `metrics`."""

    file: ClipFile
    point: OperatingPoint
    metrics: tuple[MetricName, ...]

    @property
    def key(self) -> str:
        """Return what the score depends on, hashed."""
        # Points are dataclasses: their repr has all that decides, of a model the hash of its package.
        facts = [VERSION, self.file.sha256, asdict(self.file.clip), repr(self.point), self.metrics]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Results:
    """What an evaluation gave: a score for each task, None where the codec can't; in sentences what was left out."""

    by_task: tuple[Score | None, ...]
    notes: tuple[str, ...]

    @property
    def scores(self) -> tuple[Score, ...]:
        """Return the scores that there are, in the order of the tasks."""
        return tuple(score for score in self.by_task if score is not None)


def metrics_of(kind: str, sample_rate: int) -> tuple[MetricName, ...]:
    """Return the metrics that suit a clip, installed or not."""
    return EVERYWHERE + (OF_SPEECH if is_speech(kind, sample_rate) else OF_OTHERS)


def evaluate(tasks: Sequence[Task], out: Path, *, processes: int | None = None) -> Results:
    """Score each clip at its operating point, keeping each score in `out` as it comes.

    Raises:
        AudioError: A clip can't be read.
        RunError: Another evaluation runs in `out`, or one of its processes died.
    """
    jobs, notes = _jobs(tasks)
    out.mkdir(parents=True, exist_ok=True)
    busy = RunError(f"another evaluation runs in '{out}': wait for it, or give another --out")
    with locked(out / ".lock", busy):
        lines = _read(out / SCORES)
        todo = [job for job in jobs if job.key not in lines]
        with (out / SCORES).open("a") as file:
            for key, line in _work(todo, processes or _suitable_processes(todo)):
                lines[key] = line
                file.write(json.dumps({"key": key} | line) + "\n")
                file.flush()
    done = [(job, lines[job.key]) for job in jobs]
    left_out = [
        f"{point_name(job.point.codec, job.point.bitrate_kbps)} was left out: {line['left_out']}"
        for job, line in done
        if "left_out" in line
    ]
    by_task = tuple(_score(line["score"]) if "score" in line else None for _, line in done)
    return Results(by_task=by_task, notes=(*notes, *dict.fromkeys(left_out)))


def _jobs(tasks: Sequence[Task]) -> tuple[list[Job], list[str]]:
    """Return what is to be done, and a note for each metric that isn't installed."""
    wanted = {file.clip: metrics_of(file.clip.kind, file.clip.sample_rate) for file, _ in tasks}
    missing = {name for names in wanted.values() for name in names if not installed(name)}
    notes = [f"{name} was not measured: {_how_to_install(name)}" for name in sorted(missing)]
    suited = {clip: tuple(name for name in names if name not in missing) for clip, names in wanted.items()}
    return [Job(file=file, point=point, metrics=suited[file.clip]) for file, point in tasks], notes


def _how_to_install(name: str) -> str:
    return INSTALL_DISTILLMOS if name == "distillmos" else INSTALL


def _suitable_processes(jobs: Sequence[Job]) -> int:
    """Return how many processes are worth their start."""
    seconds = sum(job.file.clip.seconds for job in jobs)
    return max(1, min(len(os.sched_getaffinity(0)), round(seconds / SECONDS_PER_PROCESS)))


def _work(jobs: Sequence[Job], processes: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each job's key and line as it is done."""
    if not jobs:
        return
    with progress_bar("evaluating", len(jobs), "scores") as advance:
        work = _in_processes(jobs, processes) if min(processes, len(jobs)) > 1 else _here(jobs)
        for key, line in work:
            yield key, line
            advance()


def _here(jobs: Sequence[Job]) -> Iterator[tuple[str, dict[str, Any]]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for job in jobs:
            yield job.key, score_job(job)
    finally:
        torch.set_num_threads(threads)


def _in_processes(jobs: Sequence[Job], processes: int) -> Iterator[tuple[str, dict[str, Any]]]:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(jobs)), mp_context=spawn, initializer=_start_process) as pool:
        futures: dict[Future[dict[str, Any]], Job] = {pool.submit(score_job, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures[future].key, future.result()
        except BrokenProcessPool:
            rule = "a process of the evaluation died, killed or out of memory"
            raise RunError(f"{rule}: run the same command again, it goes on with what is missing") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _start_process() -> None:
    end_with_parent()
    torch.set_num_threads(1)


def score_job(job: Job) -> dict[str, Any]:
    """Code a clip and score it: {"score": ...}, or {"left_out": why} where the codec can't."""
    audio = read_audio(job.file.path)
    try:
        coded = job.point.code(audio)
    except (MissingToolError, CapabilityError) as reason:
        return {"left_out": str(reason)}
    reconstruction = torch.from_numpy(coded.reconstruction.samples)
    measured = measure(reconstruction, torch.from_numpy(audio.samples), audio.sample_rate, job.metrics)
    score = Score(
        clip=job.file.clip,
        codec=job.point.codec,
        bitrate_kbps=job.point.bitrate_kbps,
        num_bytes=coded.num_bytes,
        encode_realtime=audio.seconds / coded.encode_s,
        decode_realtime=audio.seconds / coded.decode_s,
        metrics=measured.scores,
        undefined=measured.undefined,
    )
    fields = asdict(score)
    fields["metrics"] = {name: value if math.isfinite(value) else None for name, value in score.metrics.items()}
    return {"score": fields}


def _score(fields: dict[str, Any]) -> Score:
    """Return a score from its line."""
    metrics = {name: math.nan if value is None else value for name, value in fields["metrics"].items()}
    return Score(**fields | {"clip": Clip(**fields["clip"]), "metrics": metrics})


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Return the lines of an earlier run by key; whatever is torn or damaged is cut off or passed over."""
    if not path.is_file():
        return {}
    written = path.read_bytes()
    os.truncate(path, written.rfind(b"\n") + 1)
    lines = {}
    for text in written.split(b"\n")[:-1]:
        try:
            line = json.loads(text)
            key = line.pop("key")
            # What a tool's absence left out is tried again.
            if "score" in line:
                _score(line["score"])
                lines[str(key)] = line
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return lines
