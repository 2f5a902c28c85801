"""Batch transcoding beside the model alone, and beside what people write who have EnCodec and a folder.

    python benchmarks/transcode.py [--json] [--rounds 3] [--only local,ray]

One corpus of speech, clips of 5 s to 5 min, in wav at 16 kHz, in turn through:

 - `codes`: a process a core, one thread each, that does nothing but encode those clips to codes, four at a time, from
   memory to memory: the networks and codebooks alone.
 - `model`: the same, and then what else of the model makes a container of that bitrate, its context model.
 - `steady`, `whole`: the local engine with the shipped model at 6 kbps: wav to containers, with checksums, manifest,
   state. `steady` leaves out the start, in which workers load torch and the model: what a run over one short clip a
   core takes.
 - `encodec`, `encodec8`: a loop on one core over part of the corpus at 24 kHz: read, `EncodecModel.encode` at 6 kbps,
   save the codes; a file at a time, and eight of a length in one call.

Figures: `local_vs_raw_model` and `local_vs_codes_alone` are steady by model and codes; `vs_encodec_loop` and
`vs_encodec_batch8` are steady, a core, by theirs. `ray_overhead`, the part called `ray`, is
benchmarks/transcode_ray.py's.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

if not __package__:  # Run as a file: beside it `codec` would be this module.
    sys.path[0] = str(Path(__file__).parents[1])

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from transformers import EncodecConfig, EncodecModel

from benchmarks.machine import describe_machine
from benchmarks.transcode_ray import overheads
from codec.audio import read_audio, resample
from codec.chunked import WINDOW_FRAMES
from codec.compress import container_of
from codec.errors import NacreError
from codec.package import open_package
from codec.weights import load_package
from registry.shipped import DEFAULT_MODEL, shipped_package
from serving.transcode.coordinator import transcode
from serving.transcode.engines.local import LocalEngine
from serving.transcode.order import Order
from serving.transcode.settings import Settings

CORES = len(os.sched_getaffinity(0))
# seconds: how many clips
CORPUS = {5: 200, 20: 100, 60: 50, 300: 14}
# What one core of EnCodec gets through in a while.
PEER_CORPUS = {5: 16, 20: 8}
KBPS = 6.0
BATCH = 4
Item = TypeVar("Item")
SPEECH = Path(__file__).parents[1] / "tests" / "data"


def write_corpus(folder: Path, counts: dict[int, int], rate: int) -> Path:
    """Write clips of real speech, each another stretch at another level; the short ones come first by name."""
    folder.mkdir()
    voices = [_read(path, rate) for path in sorted(SPEECH.glob("speech*"))]
    random = np.random.default_rng(0)
    for seconds, count in counts.items():
        for number in range(count):
            voice = np.roll(voices[number % len(voices)], random.integers(rate))
            audio = np.resize(voice, seconds * rate) * random.uniform(0.2, 1.0)
            soundfile.write(folder / f"{seconds:03d}-{number:03d}.wav", audio, rate)
    return folder


def encode_alone(names: list[str], *, containers: bool) -> float:
    """Encode clips with the model and nothing else; return the seconds of audio that went through in one second."""
    model = load_package(_package())
    codec, stages = model.codec, model.package.config.resolve_num_quantizers(None, KBPS)
    rate, window = codec.config.sample_rate, WINDOW_FRAMES * codec.config.hop_length
    clips = [torch.from_numpy(soundfile.read(name, dtype="float32")[0])[None] for name in names]
    pieces = sorted(
        (piece for clip in clips for piece in torch.split(clip, window, -1)), key=lambda piece: piece.shape[-1]
    )
    groups = [list(group) for group in _grouped(pieces, BATCH) if group[0].shape == group[-1].shape]

    def encode(group: list[torch.Tensor]) -> None:
        for codes in codec.encode(torch.stack(group), num_quantizers=stages).numpy():
            if containers:
                container_of(model, codes[None], None, 1, rate, group[0].shape[-1])

    encode(groups[0])
    start = time.perf_counter()
    for group in groups:
        encode(group)
    elapsed = time.perf_counter() - start
    samples = sum(len(group) * group[0].shape[-1] for group in groups)
    return float(samples / rate / elapsed)


def model_alone(corpus: Path, *, containers: bool) -> float:
    """Return what all cores encode together, a process each."""
    names = [str(path) for path in sorted(corpus.iterdir())]
    encode = partial(encode_alone, containers=containers)
    with multiprocessing.get_context("spawn").Pool(CORES, _one_thread) as pool:
        return sum(pool.map(encode, [names[core::CORES] for core in range(CORES)], chunksize=1))


def transcode_local(corpus: Path, target: Path) -> tuple[float, float]:
    """Transcode; return the seconds of audio, and those that it took."""
    package = _package()
    opened = open_package(package)
    order = Order(
        source=str(corpus),
        target=str(target),
        package=package,
        fingerprint=opened.fingerprint,
        settings=Settings(num_quantizers=opened.config.resolve_num_quantizers(None, KBPS)),
    )
    start = time.perf_counter()
    tally = transcode(order, LocalEngine())
    elapsed = time.perf_counter() - start
    if tally.failed:
        raise NacreError(f"{tally.failed} files failed")
    return tally.audio_seconds, elapsed


def encodec_loop(corpus: Path, batch: int) -> float:
    """Encode a folder as a script would, on one core; return seconds of audio a second."""
    with multiprocessing.get_context("spawn").Pool(1, _one_thread) as pool:
        return pool.apply(_encodec_loop, (corpus, batch))


def _encodec_loop(corpus: Path, batch: int) -> float:
    model = EncodecModel(EncodecConfig()).eval()
    with torch.inference_mode(), tempfile.TemporaryDirectory() as out:
        model.encode(torch.zeros(1, 1, 24_000), bandwidth=KBPS)
        start, seconds = time.perf_counter(), 0.0
        for names in _grouped(sorted(corpus.iterdir()), batch):
            audio = np.stack([soundfile.read(name, dtype="float32")[0] for name in names])
            codes = model.encode(torch.from_numpy(audio)[:, None], bandwidth=KBPS).audio_codes
            for name, item in zip(names, codes[0], strict=True):
                np.save(Path(out, name.stem), item.numpy())
            seconds += audio.size / 24_000
        return seconds / (time.perf_counter() - start)


def measure(folder: Path, rounds: int) -> dict[str, float]:
    """Do all in turn; return medians of seconds of audio a second."""
    corpus = write_corpus(folder / "corpus", CORPUS, 16_000)
    short = write_corpus(folder / "short", {5: CORES}, 16_000)
    theirs = write_corpus(folder / "theirs", PEER_CORPUS, 24_000)
    times: dict[str, list[float]] = {}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        audio_of_start, start = transcode_local(short, folder / f"start-{number}")
        audio, elapsed = transcode_local(corpus, folder / f"coded-{number}")
        figures = {
            "steady": (audio - audio_of_start) / (elapsed - start),
            "whole": audio / elapsed,
            "model": model_alone(corpus, containers=True),
            "codes": model_alone(corpus, containers=False),
            "encodec": encodec_loop(theirs, 1),
            "encodec8": encodec_loop(theirs, 8),
        }
        for name, value in figures.items():
            times.setdefault(name, []).append(value)
    return {name: statistics.median(values) for name, values in times.items()}


def ratios(medians: dict[str, float]) -> dict[str, float]:
    """Return the figures."""
    return {
        "local_vs_raw_model": medians["steady"] / medians["model"],
        "local_vs_codes_alone": medians["steady"] / medians["codes"],
        "vs_encodec_loop": medians["steady"] / CORES / medians["encodec"],
        "vs_encodec_batch8": medians["steady"] / CORES / medians["encodec8"],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="local,ray", help="parts, with commas between")
    arguments = parser.parse_args()
    console = Console(stderr=arguments.json)
    parts = arguments.only.split(",")
    result: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        os.environ["NACRE_HOME"] = str(Path(name, "home"))
        if "local" in parts:
            medians = measure(Path(name), arguments.rounds)
            console.print(_table(medians))
            result |= ratios(medians)
        if "ray" in parts:
            result["ray_overhead"] = overheads(console, arguments.rounds)["ray_overhead"]
    console.print_json(json.dumps(result)) if not arguments.json else print(json.dumps(result))


def _table(medians: dict[str, float]) -> Table:
    table = Table(title=describe_machine())
    for column in ("", "cores", "seconds of audio a second", "a core"):
        table.add_column(column, justify="right")
    for name, value in medians.items():
        cores = 1 if name.startswith("encodec") else CORES
        table.add_row(name, str(cores), f"{value:.0f}", f"{value / cores:.1f}")
    return table


def _read(path: Path, rate: int) -> NDArray[np.float32]:
    return np.asarray(resample(read_audio(path), rate).samples.mean(0))


def _grouped(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _package() -> Path:
    package = shipped_package(DEFAULT_MODEL)
    if package is None:
        raise NacreError(f"{DEFAULT_MODEL} is not in this checkout")
    return package


def _one_thread() -> None:
    torch.set_num_threads(1)


if __name__ == "__main__":
    main()
