"""Speed of the default codec beside EnCodec, Mimi and DAC, and of its quantizer beside vector-quantize-pytorch.

    python -m benchmarks.codec [--json] [--batch N] [--peers nacre encodec24k ...]

One thread, clips of 10 s, all in turn, medians of 5; seconds of audio per second, and ratios of the same run.
"""

import argparse
import json

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.peers import PEERS
from benchmarks.quantizers import rvq_speedup
from benchmarks.timing import median_seconds

SECONDS = 10


def measure(names: list[str], batch: int) -> dict[str, dict[str, float]]:
    """Return seconds of audio per second for each peer, encode and decode."""
    with torch.inference_mode():
        peers = {name: PEERS[name](batch, SECONDS) for name in names}
        encode = median_seconds({name: peer.encode for name, peer in peers.items()})
        decode = median_seconds({name: peer.decode for name, peer in peers.items()})
    return {
        name: {"encode": batch * SECONDS / encode[name], "decode": batch * SECONDS / decode[name]} for name in names
    }


def speedups(rates: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Return how many times faster ours is than each peer."""
    return {
        f"speedup_vs_{name}": {step: rates["nacre"][step] / rate for step, rate in steps.items()}
        for name, steps in rates.items()
        if name != "nacre"
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.add_argument("--batch", type=int, default=1, help="clips in a batch")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS), help="which to run")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rates = measure(sorted({"nacre", *arguments.peers}, key=list(PEERS).index), arguments.batch)
    ratios = speedups(rates) | {"rvq_speedup_vs_library": rvq_speedup()}
    table = Table("codec", "encode x real time", "decode x real time", title=f"batch {arguments.batch}, 1 thread")
    for name, steps in rates.items():
        table.add_row(name, f"{steps['encode']:.1f}", f"{steps['decode']:.1f}")
    console = Console()
    console.print(table)
    for name, steps in ratios.items():
        console.print(f"{name}: " + ", ".join(f"{step} {ratio:.1f}" for step, ratio in steps.items()))
    if arguments.json:
        print(json.dumps(ratios | {"realtime_factor": rates, "batch": arguments.batch}))


if __name__ == "__main__":
    main()
