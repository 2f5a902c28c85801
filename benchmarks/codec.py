"""Speed of the default codec beside Opus: audio seconds per second, one thread, random weights, medians of one run.

    python benchmarks/codec.py [--json]

Speed depends on shapes, not on weights. Opus runs as `opusenc` and `opusdec`, start-up included, on the same clip;
it is left out where they are not installed.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from codec.audio import Audio, write_audio
from codec.config import CodecConfig
from codec.model import Codec
from codec.nacre.config import NacreConfig

SECONDS = 10
RUNS = 5
RATE = 16_000


def median_seconds(action: Callable[[], object]) -> float:
    action()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure_nacre(batch: int) -> dict[str, float]:
    codec = Codec(CodecConfig(name="benchmark", network=NacreConfig())).eval()
    audio = 0.1 * torch.randn(batch, 1, SECONDS * RATE)
    codec.initialize_network(audio)
    codec.initialize_codebooks(audio)
    codes = codec.encode(audio)
    return {
        "encode": batch * SECONDS / median_seconds(lambda: codec.encode(audio)),
        "decode": batch * SECONDS / median_seconds(lambda: codec.decode(codes)),
    }


def measure_opus() -> dict[str, float] | None:
    if not (shutil.which("opusenc") and shutil.which("opusdec")):
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, coded, decoded = (str(Path(folder) / name) for name in ("a.wav", "a.opus", "b.wav"))
        noise = np.random.default_rng(0).normal(0, 0.1, (1, SECONDS * RATE)).astype(np.float32)
        write_audio(Path(source), Audio(samples=noise, sample_rate=RATE))

        def run(*words: str) -> None:
            subprocess.run(words, check=True, capture_output=True)

        return {
            "encode": SECONDS / median_seconds(lambda: run("opusenc", "--quiet", "--bitrate", "6", source, coded)),
            "decode": SECONDS / median_seconds(lambda: run("opusdec", "--quiet", coded, decoded)),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = {"nacre": measure_nacre(1), "nacre_batch_8": measure_nacre(8), "opus_6": measure_opus()}
    for name, result in results.items():
        line = (
            "opus-tools is not installed" if result is None else "  ".join(f"{k} {v:7.1f} x" for k, v in result.items())
        )
        print(f"{name:14} {line}")
    nacre, opus = results["nacre"], results["opus_6"]
    ratios = {step: nacre[step] / opus[step] for step in nacre} if nacre and opus else None
    if arguments.json:
        print(json.dumps({"realtime_factor": results, "speedup_vs_opus_6": ratios}))
    elif ratios:
        print("nacre / opus:  " + "  ".join(f"{step} {ratio:.2f}" for step, ratio in ratios.items()))


if __name__ == "__main__":
    main()
