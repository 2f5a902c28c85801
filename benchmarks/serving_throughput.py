"""Requests a second of our service, of the model alone and of what people put before a codec without us.

Machines drift by a third within minutes, so all servers are up at the same time and are loaded in turn, round after
round, the others paused: ratios are medians over the rounds, each of two loads that follow each other.
"""

import json
import statistics
import subprocess
import sys
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from rich.table import Table

from benchmarks.handlers import BITRATE_KBPS
from benchmarks.machine import describe_machine
from benchmarks.model_alone import ModelAlone
from benchmarks.servers import ROOT, paused, server

CLIENTS = 16
ENCODE = f"/v1/encode?bitrate_kbps={BITRATE_KBPS}"
RATE = 16_000
ENCODEC_RATE = 24_000
# Rounds by the length of clips in seconds, and how many times longer than others their loads are.
ROUNDS = {0.5: 7, 5.0: 7, 60.0: 5}
LONGER = {0.5: 1, 5.0: 1, 60.0: 4}  # every client has several answers
# Of loads of the usual length: until each client's first request, which all come at once, is answered.
WARM_UP = 1.0
OURS, ONE, MODEL, ENCODEC = "nacre", "nacre, one client", "the model alone", "encodec_handler"
CODES = "the same to codes only"
OTHERS = ("plain_handler", "litserve", ENCODEC)
# One request of 60 s takes it more than a minute.
ONCE = (ENCODEC, 60.0)
COLUMNS = ("rps", "p50_ms", "p99_ms")

Row = dict[str, Any]


def write_clips(folder: Path, rate: int) -> dict[float, Path]:
    """Write a clip of noise of each length."""
    clips = {}
    for seconds in ROUNDS:
        clips[seconds] = folder / f"{rate}_{seconds:g}.wav"
        samples = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * rate))
        soundfile.write(clips[seconds], samples, rate)
    return clips


def load(
    url: str,
    *files: Path,
    clients: int = CLIENTS,
    rate: float | None = None,
    seconds: float,
    warm_up: float = WARM_UP,
    form: bool = False,
) -> Row:
    """Return what benchmarks/load.py measures."""
    words = [sys.executable, str(ROOT / "benchmarks" / "load.py"), url, *map(str, files)]
    words += ["--clients", str(clients)] if rate is None else ["--rate", str(rate)]
    words += ["--seconds", str(seconds), "--warm-up", str(warm_up), *(["--form"] if form else [])]
    result: Row = json.loads(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return result


def serve_words(package: Path) -> list[str]:
    """Return the words of our service."""
    return ["-m", "nacre", "serve", "--model", str(package), "--port", "PORT"]


def throughput(package: Path, folder: Path, seconds: float) -> tuple[dict[str, Any], Table]:
    """Measure ours, the model alone with and without containers, and the three others."""
    clips, slow_clips = write_clips(folder, RATE), write_clips(folder, ENCODEC_RATE)
    handlers, litserve = (str(ROOT / "benchmarks" / name) for name in ("handlers.py", "litserve_handler.py"))
    programs = {
        OURS: (serve_words(package), "/readyz", ENCODE, clips),
        "plain_handler": ([handlers, "plain", "PORT", str(package)], "/health", "/encode", clips),
        "litserve": ([litserve, "PORT", str(package)], "/health", "/encode", clips),
        ENCODEC: ([handlers, "encodec", "PORT"], "/health", "/encode", slow_clips),
    }
    rows: dict[tuple[str, float], list[Row]] = {}
    with ExitStack() as stack:
        model = stack.enter_context(closing(ModelAlone(package, clips[5.0])))
        running = {name: stack.enter_context(server(words, probe)) for name, (words, probe, *_) in programs.items()}

        def others(name: str) -> AbstractContextManager[None]:
            return paused(*(process for other, (_, process, _) in running.items() if other != name))

        for length, rounds in ROUNDS.items():
            for number in range(rounds):
                print(f"clips of {length:g} s: round {number + 1} of {rounds}", file=sys.stderr)
                for name, (_, _, path, files) in programs.items():
                    if (name, length) == ONCE and number:
                        continue
                    url, form, longer = running[name][0] + path, name == "litserve", LONGER[length]
                    with others(name):
                        row = load(url, files[length], seconds=longer * seconds, warm_up=longer * WARM_UP, form=form)
                    rows.setdefault((name, length), []).append(row)
                if length == 5.0:
                    with others(OURS):
                        one = load(running[OURS][0] + ENCODE, clips[5.0], clients=1, seconds=seconds)
                    rows.setdefault((ONE, 5.0), []).append(one)
                    with others(MODEL):
                        alone = model.load(seconds, CLIENTS, coded=True)
                        alone["one"] = model.load(seconds / 2, 1, coded=True)
                        codes = model.load(seconds, CLIENTS)
                    rows.setdefault((MODEL, 5.0), []).append(alone)
                    rows.setdefault((CODES, 5.0), []).append(codes)
        _, process, ready = running[OURS]
        memory = max(member.memory_info().rss for member in process.children(recursive=True)) / 2**20
    return _figures(rows) | {"ready_s": ready, "worker_rss_mb": memory}, _table(rows)


def _figures(rows: dict[tuple[str, float], list[Row]]) -> dict[str, Any]:
    pairs = list(zip(rows[ONE, 5.0], rows[MODEL, 5.0], strict=True))
    figures: dict[str, Any] = {
        "http_vs_model_throughput": _ratio(rows[OURS, 5.0], rows[MODEL, 5.0], "rps"),
        "http_vs_codes_throughput": _ratio(rows[OURS, 5.0], rows[CODES, 5.0], "rps"),
        "p50_overhead_ms": statistics.median(one["p50_ms"] - alone["one"]["p50_ms"] for one, alone in pairs),
    }
    for name in OTHERS:
        for prefix, what in (("vs", "rps"), ("p99_vs", "p99_ms")):
            ratios = {f"{length:g}s": _ratio(rows[OURS, length], rows[name, length], what) for length in ROUNDS}
            figures[f"{prefix}_{name}"] = ratios
    return figures


def _ratio(ours: list[Row], theirs: list[Row], what: str) -> float:
    """Return the median of the rounds' ratios; a round that only one of them has doesn't count."""
    return statistics.median(float(one[what] / other[what]) for one, other in zip(ours, theirs, strict=False))


def _table(rows: dict[tuple[str, float], list[Row]]) -> Table:
    table = Table("server", "clip, s", "requests/s", "p50, ms", "p99, ms", title=describe_machine())
    for (name, length), found in rows.items():
        cells = [f"{statistics.median(row.get(what, float('nan')) for row in found):.1f}" for what in COLUMNS]
        table.add_row(name, f"{length:g}", *cells)
    return table
