"""Speed of the default codec beside EnCodec, Mimi and DAC, of our own EnCodec and DAC beside the references with the
same weights, and of our quantizer beside vector-quantize-pytorch's.

    python benchmarks/codec.py [--json] [--batch 1 8] [--peers nacre encodec24k ...] [--compile]
                               [--package PACKAGE --clips CLIPS]

One thread, clips of 10 s, all in turn, medians of 5; seconds of audio per second, and ratios of the same run.
`own_encodec_streaming_vs_reference` compares our EnCodec, streamed in chunks of 80 and of 20 ms, with the reference on
each chunk by itself: it doesn't stream. What entropy coding saves is measured with a trained package and clips that it
never heard (benchmarks/entropy.py); without them `entropy_saving` and `entropy_realtime_factor` are null.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

if not __package__:  # Run as a file: beside it `codec` would be this module.
    sys.path[0] = str(Path(__file__).parents[1])

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import entropy
from benchmarks.compilation import compile_speedups
from benchmarks.machine import describe_machine
from benchmarks.peers import OWN, PEERS, encodec_24k_streams
from benchmarks.quantizers import rvq_speedup
from benchmarks.timing import median_seconds

SECONDS = 10
STEPS = ("encode", "decode")
CHUNKS_MS = (80, 20)
STREAM_SECONDS = 4
Rates = dict[str, dict[str, float]]


def measure(names: list[str], batch: int) -> Rates:
    """Return seconds of audio per second for each peer, encode and decode."""
    with torch.no_grad():
        peers = {key: peer for name in names for key, peer in PEERS[name](batch, SECONDS).items()}
    with torch.inference_mode():
        times = {
            step: median_seconds(
                {name: getattr(peer, step) for name, peer in peers.items()}, what=f"batch {batch}, {step}"
            )
            for step in STEPS
        }
    return {name: {step: batch * SECONDS / times[step][name] for step in STEPS} for name in peers}


def speedups(rates: Rates) -> Rates:
    """Return how many times faster the default codec is than each reference, and our own than theirs."""

    def ratio(ours: str, theirs: str) -> dict[str, float]:
        return {step: rates[ours][step] / rates[theirs][step] for step in STEPS}

    references = [name for name in rates if name in PEERS and name != "nacre"]
    return {f"speedup_vs_{name}": ratio("nacre", name) for name in references} | {
        f"{own}_vs_reference": ratio(own, theirs) for own, theirs in OWN.items() if own in rates
    }


def streaming_vs_reference() -> Rates:
    """Return how many times faster our EnCodec is in a stream than the reference on the same chunks, for each size."""
    ratios = {}
    for chunk in CHUNKS_MS:
        with torch.no_grad():
            peers = encodec_24k_streams(chunk, STREAM_SECONDS)
        with torch.inference_mode():
            times = {
                step: median_seconds(
                    {name: getattr(peer, step) for name, peer in peers.items()}, what=f"{chunk} ms, {step}"
                )
                for step in STEPS
            }
        ratios[f"{chunk}ms"] = {step: times[step]["reference"] / times[step]["own"] for step in STEPS}
    return ratios


def show(console: Console, batch: int, rates: Rates, ratios: Rates) -> None:
    """Print one batch size's figures."""
    table = Table("codec", "encode x real time", "decode x real time", title=f"batch {batch}, 1 thread")
    for name, steps in rates.items():
        table.add_row(name, f"{steps['encode']:.1f}", f"{steps['decode']:.1f}")
    console.print(table)
    for name, steps in ratios.items():
        console.print(f"{name}: " + ", ".join(f"{step} {ratio:.2f}" for step, ratio in steps.items()))


def show_compiled(console: Console, compiled: dict[str, dict[str, dict[str, float]]]) -> None:
    """Print where compiling pays."""
    table = Table("family", "step", "compiled / eager speed", "seconds to compile", title="torch.compile, 1 thread")
    for name, steps in compiled.items():
        for step, figures in steps.items():
            table.add_row(name, step, f"{figures['speedup']:.2f}", f"{figures['compile_s']:.1f}")
    console.print(table)


def entropy_figures(package: Path | None, clips: Path | None) -> dict[str, object]:
    """Return what benchmarks/entropy.py measures, by the same names; nulls without a package."""
    if package is None or clips is None:
        return dict.fromkeys(field.name for field in dataclasses.fields(entropy.EntropyFigures))
    figures = entropy.measure(package, clips)
    entropy.show(figures)
    return dataclasses.asdict(figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="end with one JSON object; batch by batch in `by_batch`")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8], help="clips in a batch; the first is on top")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS), help="which to run")
    parser.add_argument("--compile", action="store_true", help="measure where torch.compile pays, and nothing else")
    parser.add_argument("--package", type=Path, help="trained package with entropy tables, for what they save")
    parser.add_argument("--clips", type=Path, help="folder of audio that the package never heard")
    arguments = parser.parse_args()
    if (arguments.package is None) != (arguments.clips is None):
        parser.error("--package and --clips go together")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    console = Console()
    console.print(describe_machine())
    result: dict[str, object] = {"machine": describe_machine()}
    if arguments.compile:
        compiled = compile_speedups(arguments.batch[0], SECONDS)
        show_compiled(console, compiled)
        result["compile"] = compiled
    else:
        names = sorted({"nacre", *arguments.peers}, key=list(PEERS).index)
        by_batch = {}
        for batch in arguments.batch:
            rates = measure(names, batch)
            ratios = speedups(rates)
            show(console, batch, rates, ratios)
            by_batch[batch] = ratios | {"realtime_factor": rates}
        rvq = rvq_speedup()
        console.print("rvq_speedup_vs_library: " + ", ".join(f"{step} {ratio:.2f}" for step, ratio in rvq.items()))
        result |= by_batch[arguments.batch[0]] | {"rvq_speedup_vs_library": rvq, "by_batch": by_batch}
        if "encodec24k" in arguments.peers:
            streaming = streaming_vs_reference()
            for chunk, steps in streaming.items():
                ratios_shown = ", ".join(f"{step} {ratio:.2f}" for step, ratio in steps.items())
                console.print(f"own_encodec_streaming_vs_reference, {chunk}: {ratios_shown}")
            result["own_encodec_streaming_vs_reference"] = streaming
        result |= entropy_figures(arguments.package, arguments.clips)
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
