"""Speed of training the default codec, adversary included, beside EnCodec's recipe (benchmarks/encodec_recipe.py).

    python benchmarks/training.py [--json] [--rounds 3] [--steps 60]

Two threads, batches of 16 segments of a second, bf16-mixed both. Ours is `nacre train fit` itself on shards of
synthetic audio, everything from reading to optimizers included; the recipe is the bare step on audio in memory. They
take turns; medians. `split_ms` takes our step apart, each part by itself, so the parts add up only about.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if not __package__:  # Run as a file: beside it `training` would be this module.
    sys.path[0] = str(Path(__file__).parents[1])

import numpy as np
import soundfile
import torch
from rich.console import Console

from benchmarks.encodec_recipe import SAMPLE_RATE, EncodecRecipe
from benchmarks.machine import describe_machine
from benchmarks.training_split import split_ms
from data_pipelines.build import build_dataset

ROOT = Path(__file__).parents[1]
THREADS = 2
BATCH = 16
CONFIG = ROOT / "configs" / "train" / "nacre_16k.yaml"
RATE = "train/throughput/audio_seconds_per_second"
WAIT = "train/throughput/data_wait_share"
LOG_EVERY = 10
RECIPE_STEPS = 3


def make_data(folder: Path) -> Path:
    """Build shards of 20 minutes of synthetic audio."""
    generator = np.random.default_rng(0)
    (folder / "audio").mkdir()
    for number in range(120):
        samples = 0.1 * generator.standard_normal(160_000)
        soundfile.write(folder / "audio" / f"{number}.wav", samples, 16_000, subtype="PCM_16")
    build_dataset([folder / "audio"], folder / "data")
    return folder / "data"


def own_run(data: Path, run: Path, steps: int) -> dict[str, list[float]]:
    """Train with the default configuration, adversary and quantizer from the start; return what the run logged."""
    options = {
        "--config": CONFIG,
        "--data.directory": data,
        "--run-dir": run,
        "--trainer.max_steps": steps,
        "--trainer.log_every_n_steps": LOG_EVERY,
        "--trainer.limit_val_batches": 0,
        "--model.discriminator.start_step": 0,
        "--model.discriminator.lead_steps": 0,
        "--model.quantizer.start_step": 0,
        "--run.wandb_mode": "disabled",
    }
    words = [str(word) for option in options.items() for word in option]
    environment = os.environ | {"OMP_NUM_THREADS": str(THREADS), "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-m", "nacre", "train", "fit", *words], check=True, env=environment, stdout=subprocess.DEVNULL
    )
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    # The first interval warms up.
    return {name: [line[name] for line in lines if name in line][1:] for name in (RATE, WAIT)}


def recipe_rate(recipe: EncodecRecipe) -> float:
    """Return the recipe's seconds of audio per second."""
    audio = 0.1 * torch.randn(BATCH, 1, SAMPLE_RATE)
    start = time.perf_counter()
    for step in range(RECIPE_STEPS):
        print(f"EnCodec's recipe, step {step + 1} of {RECIPE_STEPS}", file=sys.stderr)
        recipe.step(audio)
    return BATCH * RECIPE_STEPS / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    parser.add_argument("--rounds", type=int, default=3, help="how often both take turns")
    parser.add_argument("--steps", type=int, default=60, help="steps of ours in a round")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(THREADS)
    console = Console()
    console.print(describe_machine())
    recipe = EncodecRecipe()
    recipe_rate(recipe)
    rates: dict[str, list[float]] = {"own": [], "recipe": []}
    waits: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(Path(folder))
        for turn in range(arguments.rounds):
            logged = own_run(data, Path(folder) / f"run-{turn}", arguments.steps)
            rates["own"].append(statistics.median(logged[RATE]))
            waits += logged[WAIT]
            rates["recipe"].append(recipe_rate(recipe))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    split = split_ms(BATCH) | {"data_wait": 1000 * BATCH / medians["own"] * statistics.median(waits)}
    result = {
        "machine": describe_machine(),
        "step_speedup_vs_encodec_recipe": medians["own"] / medians["recipe"],
        "audio_seconds_per_second": medians,
        "split_ms": split,
        "data_wait_share": statistics.median(waits),
    }
    for name, rate in medians.items():
        console.print(f"{name}: {rate:.2f} s of audio a second")
    console.print(f"step_speedup_vs_encodec_recipe: {result['step_speedup_vs_encodec_recipe']:.1f}")
    console.print("split_ms: " + ", ".join(f"{name} {value:.0f}" for name, value in split.items()))
    console.print(f"data_wait_share: {result['data_wait_share']:.4f}")
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
