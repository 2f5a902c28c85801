"""Memory of training, adversarial part included: peak resident bytes of `nacre train fit` and of its reading workers.

    python benchmarks/training_memory.py [--json] [--config configs/train/nacre_16k.yaml] [--steps 12]

Real training in processes of its own, on shards of noise; codebooks start after a few steps as the configuration
starts them, then the discriminator joins. `total_bytes` is the peak over time of all processes together, each page
shared among them counted once where the system says so (Linux).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).parents[1])

import numpy as np
import psutil
import soundfile
import yaml

from benchmarks.machine import describe_machine
from data_pipelines.build import build_dataset
from data_pipelines.settings import BuildConfig

DEFAULT = Path(__file__).parents[1] / "configs" / "train" / "nacre_16k.yaml"
FILES, SECONDS = 64, 10
SECONDS_BETWEEN_LOOKS = 0.05


def build_noise(folder: Path, sample_rate: int, channels: int) -> Path:
    """Build shards of noise whose loudness comes and goes."""
    (folder / "audio").mkdir()
    envelope = 0.5 + 0.5 * np.sin(np.arange(SECONDS * sample_rate) * 6 / sample_rate)[:, None]
    for seed in range(FILES):
        noise = np.random.default_rng(seed).standard_normal((len(envelope), channels))
        soundfile.write(folder / "audio" / f"{seed}.wav", 0.1 * noise * envelope, sample_rate)
    settings = BuildConfig(sample_rate=sample_rate, channels=channels, val_percent=25, test_percent=0)
    build_dataset([folder / "audio"], folder / "data", settings)
    return folder / "data"


def training_command(config: Path, data: Path, run: Path, steps: int) -> list[str]:
    """Return the command that trains `steps` steps: the codebooks start after a third, the discriminator after two."""
    settings = yaml.safe_load(config.read_text())
    starts = settings["model"]["quantizer"]["start_step"]
    options = {
        "data.directory": data,
        "trainer.max_steps": steps,
        "trainer.val_check_interval": steps,
        "model.quantizer.start_step": min(starts, steps // 3),
        "model.discriminator.start_step": 2 * steps // 3,
        "model.discriminator.lead_steps": 1,
        "run.wandb_mode": "disabled",
    }
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    return [sys.executable, "-m", "nacre", "train", "fit", "--config", str(config), "--run-dir", str(run), *words]


def watch(command: list[str]) -> dict[str, int]:
    """Run the command to its end, and return the peaks of its main process, of any worker, and of all together."""
    peaks = {"main_bytes": 0, "worker_bytes": 0, "workers": 0, "total_bytes": 0}
    with subprocess.Popen(command) as started:
        main = psutil.Process(started.pid)
        while started.poll() is None:
            try:
                workers = main.children(recursive=True)
                resident = [process.memory_info().rss for process in workers]
                now = {
                    "main_bytes": main.memory_info().rss,
                    "worker_bytes": max(resident, default=0),
                    "workers": len(workers),
                    "total_bytes": sum(_share(process) for process in [main, *workers]),
                }
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            peaks = {name: max(value, now[name]) for name, value in peaks.items()}
            time.sleep(SECONDS_BETWEEN_LOOKS)
    if started.returncode:
        raise SystemExit(f"training ended with exit status {started.returncode}")
    return peaks


def _share(process: psutil.Process) -> int:
    memory = process.memory_full_info()
    return int(getattr(memory, "pss", memory.rss))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--config", type=Path, default=DEFAULT, help="training YAML")
    parser.add_argument("--steps", type=int, default=12, help="steps to train")
    options = parser.parse_args()
    settings = yaml.safe_load(options.config.read_text())
    codec = settings["model"]["codec"]
    with tempfile.TemporaryDirectory() as folder:
        data = build_noise(Path(folder), codec["sample_rate"], codec["channels"])
        peaks = watch(training_command(options.config, data, Path(folder) / "run", options.steps))
    result = {
        "config": options.config.stem,
        "batch_size": settings["data"]["batch_size"],
        **peaks,
        "machine": describe_machine(),
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{result['config']} at batch {result['batch_size']}, {result['machine']}")
    for name in ("main", "worker", "total"):
        print(f"  {name:<7}{result[f'{name}_bytes'] / 1e9:6.2f} GB")


if __name__ == "__main__":
    main()
