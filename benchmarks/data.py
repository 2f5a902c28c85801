"""Crops per second of our training stream beside litdata's StreamingDataset, on the same audio and the same crops.

    python benchmarks/data.py [--json] [--records 240] [--step-crops-per-second RATE]

16 kHz mono, crops of 1 s from records of 10 s, batches of 16, local files in the page cache. litdata keeps each record
as int16 and cuts its crops in the worker, as we do. Medians of 5 paired runs after the workers have started;
`crops_vs_litdata` and `crops_per_second` are the least over all settings. `crops_vs_step` is how many times as many
crops the stream delivers as a training step of configs/train/nacre_16k.yaml consumes; the step, on this machine's CPU
with its discriminator at work, is measured unless its rate is given.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

if not __package__:  # Run as a file: beside it `codec` would be this module.
    sys.path[0] = str(Path(__file__).parents[1])

import numpy as np
import soundfile
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import describe_machine
from benchmarks.timing import median_seconds
from data_pipelines.build import build_dataset
from data_pipelines.datamodule import AudioDataModule
from data_pipelines.settings import BuildConfig

SAMPLE_RATE = SEGMENT = 16_000
RECORD_SECONDS = 10
BATCH = 16
BATCHES = 240
WARM_UP = 20
SETTINGS = tuple((workers, crops) for crops in (2, 1) for workers in (1, 2))
CONFIG = Path(__file__).parents[1] / "configs" / "train" / "nacre_16k.yaml"
STEPS = (2, 6)


def write_audio(folder: Path, records: int) -> list[str]:
    """Write files of noise, a record each, and return their paths."""
    folder.mkdir()
    paths = [folder / f"{seed:05d}.wav" for seed in range(records)]
    for seed, path in enumerate(paths):
        samples = 0.1 * np.random.default_rng(seed).standard_normal(RECORD_SECONDS * SAMPLE_RATE)
        soundfile.write(path, samples, SAMPLE_RATE)
    return [str(path) for path in paths]


def read_record(path: str) -> Any:
    """Return a file as litdata keeps it, int16 [T, C]."""
    return soundfile.read(path, dtype="int16", always_2d=True)[0]


def cut_crops(record: Any, crops: int) -> torch.Tensor:
    """Cut random crops [crops, C, T] from a record."""
    offsets = np.random.randint(0, len(record) - SEGMENT + 1, crops)  # noqa: NPY002  # as its users do
    segments = np.stack([record[offset : offset + SEGMENT].T for offset in offsets])
    return torch.from_numpy(segments.astype(np.float32) / 32768.0)


def our_batches(folder: Path, workers: int, crops: int) -> Iterator[torch.Tensor]:
    """Return our endless batches [B, C, T]."""
    data = AudioDataModule(
        directory=str(folder), segment_samples=SEGMENT, batch_size=BATCH, num_workers=workers, crops_per_record=crops
    )
    return iter(data.train_dataloader())


def litdata_batches(folder: Path, workers: int, crops: int) -> Iterator[torch.Tensor]:
    """Yield litdata's batches [B, C, T], one epoch after another with the same workers."""
    import litdata

    dataset = litdata.StreamingDataset(
        str(folder), shuffle=True, drop_last=True, transform=partial(cut_crops, crops=crops)
    )
    loader = litdata.StreamingDataLoader(
        dataset,
        batch_size=BATCH // crops,
        num_workers=workers,
        collate_fn=torch.cat,
        persistent_workers=True,
        prefetch_factor=2,
    )
    while True:
        yield from loader


def compare(ours: Path, theirs: Path, workers: int, crops: int) -> dict[str, float]:
    """Return crops per second of both in one setting, and their ratio."""
    streams = {
        "nacre": our_batches(ours, workers, crops),
        "litdata": litdata_batches(theirs, workers, crops),
    }
    for stream in streams.values():
        for _ in range(WARM_UP):
            next(stream)
    actions = {name: lambda stream=stream: [next(stream) for _ in range(BATCHES)] for name, stream in streams.items()}
    times = median_seconds(actions, what=f"{workers} worker(s), {crops} crop(s) a record")
    rates = {name: BATCHES * BATCH / seconds for name, seconds in times.items()}
    return rates | {"ratio": rates["nacre"] / rates["litdata"]}


def step_crops_per_second(data: Path, scratch: Path) -> float:
    """Train for a few steps, and for a few more, and return the crops that the difference consumed per second."""
    from training.cli import fit

    options = {
        "data.directory": str(data),
        "data.batch_size": BATCH,
        "data.segment_samples": SEGMENT,
        "model.discriminator.start_step": 0,
        "model.discriminator.lead_steps": 0,
        "model.quantizer.start_step": 0,
        "trainer.accelerator": "cpu",
        "trainer.devices": 1,
        "trainer.precision": "32-true",
        "trainer.limit_val_batches": 0,
        "run.wandb_mode": "disabled",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    seconds = []
    for steps in STEPS:
        start = time.perf_counter()
        fit(["--config", str(CONFIG), *words, "--trainer.max_steps", str(steps)], run_dir=scratch / f"run-{steps}")
        seconds.append(time.perf_counter() - start)
    return (STEPS[1] - STEPS[0]) * BATCH / (seconds[1] - seconds[0])


def prepare(root: Path, records: int) -> tuple[Path, Path]:
    """Write the audio, and build both kinds of data set from it."""
    import litdata

    paths = write_audio(root / "audio", records)
    config = BuildConfig(sample_rate=SAMPLE_RATE, val_percent=0, test_percent=0)
    build_dataset([root / "audio"], root / "nacre", config)
    out = str(root / "litdata")
    litdata.optimize(read_record, paths, out, chunk_bytes="32MB", num_workers=1, start_method="fork", verbose=False)
    return root / "nacre", root / "litdata"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.add_argument("--records", type=int, default=240, help="records of 10 s to make")
    parser.add_argument("--step-crops-per-second", type=float, help="what a step consumes, instead of measuring it")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    console = Console()
    console.print(describe_machine())
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        ours, theirs = prepare(root, arguments.records)
        figures = {f"{w} workers, {c} crops": compare(ours, theirs, w, c) for w, c in SETTINGS}
        step = arguments.step_crops_per_second or step_crops_per_second(ours, root)
    table = Table("setting", "nacre crops/s", "litdata crops/s", "ratio")
    for name, rates in figures.items():
        table.add_row(name, f"{rates['nacre']:.0f}", f"{rates['litdata']:.0f}", f"{rates['ratio']:.2f}")
    console.print(table)
    slowest = min(rates["nacre"] for rates in figures.values())
    result = {
        "machine": describe_machine(),
        "crops_vs_litdata": min(rates["ratio"] for rates in figures.values()),
        "crops_per_second": slowest,
        "crops_vs_step": slowest / step,
        "step_crops_per_second": step,
        "by_setting": figures,
    }
    console.print(f"a training step consumes {step:.1f} crops/s: the stream delivers {slowest / step:.0f} times that")
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
