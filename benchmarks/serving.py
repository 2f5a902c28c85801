"""The service under load, beside the model itself and what people put before a codec without us.

    python benchmarks/serving.py [--json] [--seconds 10] [--soak-seconds 600] [--only PARTS]

Every server runs in a process of its own, the load comes from another (benchmarks/load.py), on loopback, one after the
other: 16 clients with clips of 0.5, 5 and 60 s of 16-bit wav. Ours is `nacre serve`, one worker, as it is by default.

 - `http_vs_model_throughput`: requests a second over HTTP, 5 s clips, by windows a second of the batched model alone,
   called from 16 threads of one process.
 - `p50_overhead_ms`: the median of one client's 5 s clip less the model's own median.
 - `vs_plain_handler`, `vs_litserve`, `vs_encodec_handler`: requests a second of ours by theirs, for each length.
 - `p99_vs_plain_handler`, `p99_vs_litserve`: ours by theirs.
 - `overload`: 4 times the clients that fill the service, for a minute: answers by status, the 99th percentile of what
   was accepted by that of the unloaded service, growth of memory, seconds until it is as fast as before.
 - `soak`: mixed load with swaps, killed workers, clients that stall, and bad input (benchmarks/soak.py).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

if not __package__:  # Run as a file: beside it `codec` would be this module.
    sys.path[0] = str(Path(__file__).parents[1])

import httpx
import numpy as np
import soundfile
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine
from benchmarks.peers import default_codec
from benchmarks.servers import ROOT, resident_bytes, server
from benchmarks.soak import soak
from codec.weights import load_package, write_package
from serving.batcher import BatchedCodec, Batcher
from serving.engine import MAX_BATCH_SECONDS
from serving.limits import ServiceLimits
from serving.observe.metrics import Metrics

CLIENTS = 16
LENGTHS = (0.5, 5.0, 60.0)
RATE = 16_000
ENCODEC_RATE = 24_000


def write_clips(folder: Path, rate: int) -> dict[float, Path]:
    """Write a clip of noise of each length."""
    clips = {}
    for seconds in LENGTHS:
        clips[seconds] = folder / f"{rate}_{seconds:g}.wav"
        samples = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * rate))
        soundfile.write(clips[seconds], samples, rate)
    return clips


def load(url: str, *files: Path, clients: int = CLIENTS, seconds: float, form: bool = False) -> dict[str, Any]:
    """Return what benchmarks/load.py measures."""
    words = [sys.executable, str(ROOT / "benchmarks" / "load.py"), url, *map(str, files)]
    words += ["--clients", str(clients), "--seconds", str(seconds), *(["--form"] if form else [])]
    result: dict[str, Any] = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return result


def model_alone(package: Path, clip: Path, seconds: float) -> dict[str, float]:
    """Return windows a second of the batched model from 16 threads, and the median ms of one."""
    limits = ServiceLimits()
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // limits.concurrency))
    codec = load_package(package).codec
    through = BatchedCodec(
        codec, Batcher(limits.concurrency, round(MAX_BATCH_SECONDS * RATE), Metrics()), threading.Event()
    )
    audio = torch.from_numpy(soundfile.read(clip, dtype="float32")[0])[None, None]
    stages = codec.config.quantizer.num_quantizers

    def once() -> float:
        start = time.perf_counter()
        through.encode(audio, num_quantizers=stages, denoise=False)
        return time.perf_counter() - start

    def until(end: float) -> int:
        count = 0
        while time.perf_counter() < end:
            once()
            count += 1
        return count

    once()
    alone = statistics.median(once() for _ in range(40)) * 1000
    start = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as threads:
        counts = list(threads.map(until, [start + seconds] * CLIENTS))
    return {"rps": sum(counts) / (time.perf_counter() - start), "p50_ms": alone}


def serve_words(package: Path) -> list[str]:
    """Return the words of our service."""
    return ["-m", "nacre", "serve", "--model", str(package), "--port", "PORT"]


def throughput(package: Path, folder: Path, seconds: float) -> tuple[dict[str, Any], Table]:
    """Measure ours, the model alone, and the three others."""
    clips, slow_clips = write_clips(folder, RATE), write_clips(folder, ENCODEC_RATE)
    handlers, litserve = (str(ROOT / "benchmarks" / name) for name in ("handlers.py", "litserve_handler.py"))
    servers = {
        "nacre": (serve_words(package), "/readyz", "/v1/encode", clips),
        "plain_handler": ([handlers, "plain", "PORT", str(package)], "/health", "/encode", clips),
        "litserve": ([litserve, "PORT", str(package)], "/health", "/encode", clips),
        "encodec_handler": ([handlers, "encodec", "PORT"], "/health", "/encode", slow_clips),
    }
    measured: dict[str, dict[float, dict[str, Any]]] = {}
    facts = {}
    for name, (words, probe, path, files) in servers.items():
        print(f"{name}", file=sys.stderr)
        with server(words, probe) as (url, process, ready):
            measured[name] = {
                length: load(url + path, files[length], seconds=seconds, form=name == "litserve") for length in LENGTHS
            }
            if name == "nacre":
                one = load(url + path, files[5.0], clients=1, seconds=seconds)
                workers = [member.memory_info().rss for member in process.children(recursive=True)]
                facts = {"ready_s": ready, "worker_rss_mb": max(workers) / 2**20}
    model = model_alone(package, clips[5.0], seconds)
    ours = measured["nacre"]
    result = {
        "http_vs_model_throughput": ours[5.0]["rps"] / model["rps"],
        "p50_overhead_ms": one["p50_ms"] - model["p50_ms"],
        **facts,
    }
    for name in list(servers)[1:]:
        result[f"vs_{name}"] = {f"{n:g}s": ours[n]["rps"] / measured[name][n]["rps"] for n in LENGTHS}
        result[f"p99_vs_{name}"] = {f"{n:g}s": ours[n]["p99_ms"] / measured[name][n]["p99_ms"] for n in LENGTHS}
    table = Table("server", "clip, s", "requests/s", "p50, ms", "p99, ms", title=describe_machine())
    for name, by_length in measured.items():
        for n, row in by_length.items():
            table.add_row(name, f"{n:g}", f"{row['rps']:.1f}", f"{row['p50_ms']:.1f}", f"{row['p99_ms']:.1f}")
    table.add_row("nacre, one client", "5", f"{one['rps']:.1f}", f"{one['p50_ms']:.1f}", f"{one['p99_ms']:.1f}")
    table.add_row("the model alone", "5", f"{model['rps']:.1f}", f"{model['p50_ms']:.1f}", "")
    return result, table


def overload(package: Path, folder: Path, seconds: float) -> dict[str, Any]:
    """Send four times what fits, for `seconds`, and watch what is answered and what it costs."""
    clip = write_clips(folder, RATE)[5.0]
    limits = ServiceLimits()
    capacity = limits.concurrency + limits.queue
    with server(serve_words(package), "/readyz") as (url, process, _):
        unloaded = load(url + "/v1/encode", clip, clients=capacity, seconds=10)
        before = resident_bytes(process)
        flooded = load(url + "/v1/encode", clip, clients=4 * capacity, seconds=seconds)
        after = resident_bytes(process)
        recovered = _seconds_to_recover(url, clip, 2 * unloaded["p50_ms"] / capacity * limits.concurrency)
    return {
        "answers": flooded["answers"],
        "p99_vs_unloaded": flooded["p99_ms"] / unloaded["p99_ms"],
        "memory_growth": after / before - 1,
        "recovery_s": recovered,
    }


def _seconds_to_recover(url: str, clip: Path, enough_ms: float) -> float:
    """Return when a request took at most `enough_ms` again."""
    start = time.perf_counter()
    while time.perf_counter() - start < 60:
        begin = time.perf_counter()
        answer = httpx.post(url + "/v1/encode", content=clip.read_bytes(), timeout=60)
        if answer.status_code == 200 and (time.perf_counter() - begin) * 1000 <= enough_ms:
            break
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.add_argument("--seconds", type=float, default=10, help="of load for each figure")
    parser.add_argument("--overload-seconds", type=float, default=60)
    parser.add_argument("--soak-seconds", type=float, default=600)
    parser.add_argument("--only", default="throughput,overload,soak")
    arguments = parser.parse_args()
    console = Console(stderr=arguments.json)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["NACRE_HOME"] = str(folder / "home")
        package = folder / "nacre"
        write_package(package, default_codec(), metrics={}, lineage={})
        parts = arguments.only.split(",")
        if "throughput" in parts:
            figures, table = throughput(package, folder, arguments.seconds)
            result.update(figures)
            console.print(table)
        if "overload" in parts:
            result["overload"] = overload(package, folder, arguments.overload_seconds)
        if "soak" in parts:
            result["soak"] = soak(folder, arguments.soak_seconds)
    console.print_json(json.dumps(result)) if not arguments.json else print(json.dumps(result))


if __name__ == "__main__":
    main()
