"""The service under load, beside the model itself and what people put before a codec without us.

    python benchmarks/serving.py [--json] [--package DIR] [--seconds 4] [--soak-seconds 600] [--only PARTS]

Every server runs in a process of its own, the load comes from another (benchmarks/load.py), on loopback: 16 clients
with clips of 0.5, 5 and 60 s of 16-bit wav. Ours is `nacre serve` as it is by default, with the shipped model; all that
have this model answer the same containers, all at 6 kbps. All are up and are loaded in turn, round after round
(benchmarks/serving_throughput.py).

 - `http_vs_model_throughput`: requests a second over HTTP, 5 s clips, by those of the batched model to the same
   containers without HTTP, from 16 threads (benchmarks/model_alone.py). `http_vs_codes_throughput`: to codes only.
 - `p50_overhead_ms`: the median of one client's 5 s clip less the model's own median.
 - `vs_plain_handler`, `vs_litserve`, `vs_encodec_handler`: requests a second of ours by theirs, for each length.
 - `p99_vs_plain_handler`, `p99_vs_litserve`: ours by theirs.
 - `overload`: 5 s clips for a minute at 4 times the rate that 16 clients get: answers by status, requests a second and
   the 99th percentile of what was accepted by those of the 16 clients, and by those of as many clients as fill the
   service; growth of memory, seconds until it is as fast as before.
 - `soak`: mixed load with swaps, killed workers, clients that stall, and bad input (benchmarks/soak.py).
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if not __package__:  # Run as a file: beside it `codec` would be this module.
    sys.path[0] = str(Path(__file__).parents[1])

import httpx
from rich.console import Console

from benchmarks.servers import ROOT, resident_bytes, server
from benchmarks.serving_throughput import ENCODE, RATE, load, serve_words, throughput, write_clips
from benchmarks.soak import soak
from serving.limits import ServiceLimits
from serving.workers import number_of_workers

OVERLOAD = 4


def overload(package: Path, folder: Path, seconds: float) -> dict[str, Any]:
    """Send four times what it can do, for `seconds`, and watch what is answered and what it costs."""
    clip = write_clips(folder, RATE)[5.0]
    limits = ServiceLimits()
    places = number_of_workers() * (limits.concurrency + limits.queue)
    with server(serve_words(package), "/readyz") as (url, process, _):
        alone = load(url + ENCODE, clip, clients=1, seconds=3)
        usual = load(url + ENCODE, clip, seconds=10)
        full = load(url + ENCODE, clip, clients=places, seconds=10)
        before = resident_bytes(process)
        flooded = load(url + ENCODE, clip, rate=OVERLOAD * usual["rps"], seconds=seconds)
        after = resident_bytes(process)
        recovered = _seconds_to_recover(url, clip, 2 * alone["p50_ms"])
    return {
        "answers": flooded["answers"],
        "rps_vs_usual": flooded["rps"] / usual["rps"],
        "p99_vs_usual": flooded["p99_ms"] / usual["p99_ms"],
        "rps_vs_full": flooded["rps"] / full["rps"],
        "p99_vs_full": flooded["p99_ms"] / full["p99_ms"],
        "memory_growth": after / before - 1,
        "recovery_s": recovered,
    }


def _seconds_to_recover(url: str, clip: Path, enough_ms: float) -> float:
    """Return when a request took at most `enough_ms` again."""
    start = time.perf_counter()
    while time.perf_counter() - start < 60:
        begin = time.perf_counter()
        answer = httpx.post(url + ENCODE, content=clip.read_bytes(), timeout=60)
        if answer.status_code == 200 and (time.perf_counter() - begin) * 1000 <= enough_ms:
            break
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.add_argument("--package", type=Path, default=ROOT / "models/nacre-16k-speech", help="model to serve")
    parser.add_argument("--seconds", type=float, default=4, help="of load each time")
    parser.add_argument("--overload-seconds", type=float, default=60)
    parser.add_argument("--soak-seconds", type=float, default=600)
    parser.add_argument("--only", default="throughput,overload,soak")
    arguments = parser.parse_args()
    console = Console(stderr=arguments.json)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["NACRE_HOME"] = str(folder / "home")
        parts = arguments.only.split(",")
        if "throughput" in parts:
            figures, table = throughput(arguments.package, folder, arguments.seconds)
            result.update(figures)
            console.print(table)
        if "overload" in parts:
            result["overload"] = overload(arguments.package, folder, arguments.overload_seconds)
        if "soak" in parts:
            result["soak"] = soak(folder, arguments.soak_seconds)
    console.print_json(json.dumps(result)) if not arguments.json else print(json.dumps(result))


if __name__ == "__main__":
    main()
