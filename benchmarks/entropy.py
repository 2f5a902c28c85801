"""What entropy coding saves of the packed bytes, by bitrate, and how fast it codes codes.

    python -m benchmarks.entropy --package PACKAGE --clips CLIPS [--json]

PACKAGE is a trained one with entropy tables (nacre train entropy), CLIPS a folder of audio that it never heard. The
saving is that of whole containers, and of their codes alone; one thread, medians of 5, one clip after the other.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from codec.audio import Audio, read_audio, resample
from codec.compress import container_of
from codec.container import read_container
from codec.weights import LoadedPackage, load_package
from data_pipelines.sources import scan_sources
from training.entropy import measure_saving

REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class EntropyFigures:
    """Savings by bitrate in kbps, and seconds of audio per second for `encode` and `decode`."""

    entropy_saving: dict[str, float]
    container_saving: dict[str, float]
    entropy_realtime_factor: dict[str, float]
    entropy_clips: int


def measure(package: Path, clips: Path) -> EntropyFigures:
    """Code every clip's codes at every bitrate."""
    model = load_package(package)
    if model.coder is None:
        raise SystemExit(f"'{package}' has no entropy tables: add them with 'nacre train entropy'")
    config = model.package.config
    paths = [source.path for source in scan_sources([clips])]
    codes = [_codes(model, read_audio(path)) for path in track(paths, "encoding")]
    frames = round(config.frame_rate)
    whole = [part[0, :, : part.shape[2] // frames * frames] for part in codes]
    saving = measure_saving(model.coder, np.concatenate([part.T.reshape(-1, frames, len(part)) for part in whole]))
    rates = {stages: f"{config.bitrate_kbps(stages):g}" for stages in saving}
    return EntropyFigures(
        entropy_saving={rates[stages]: share for stages, share in saving.items()},
        container_saving={rates[stages]: _container_saving(model, codes, stages) for stages in saving},
        entropy_realtime_factor=_speed(model, codes),
        entropy_clips=len(paths),
    )


def _codes(model: LoadedPackage, audio: Audio) -> NDArray[np.int64]:
    """Return the codes [1, K, L] of the first channels of a clip."""
    prepared = resample(audio, model.package.config.sample_rate)
    samples = torch.from_numpy(prepared.samples[: model.package.config.channels])
    return model.codec.encode(samples[None]).numpy()


def _containers(model: LoadedPackage, codes: list[NDArray[np.int64]], stages: int) -> list[bytes]:
    config = model.package.config
    samples = [part.shape[2] * config.hop_length for part in codes]
    return [
        container_of(model, part[:, :stages], None, config.channels, config.sample_rate, count)
        for part, count in zip(codes, samples, strict=True)
    ]


def _container_saving(model: LoadedPackage, codes: list[NDArray[np.int64]], stages: int) -> float:
    packed = sum(map(len, _containers(dataclasses.replace(model, coder=None), codes, stages)))
    return 1 - sum(map(len, _containers(model, codes, stages))) / packed


def _speed(model: LoadedPackage, codes: list[NDArray[np.int64]]) -> dict[str, float]:
    """Return seconds of audio per second, all stages, container included."""
    config = model.package.config
    seconds = sum(part.shape[2] for part in codes) * config.hop_length / config.sample_rate
    stages = config.quantizer.num_quantizers
    encode, decode = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        containers = _containers(model, codes, stages)
        middle = time.perf_counter()
        for data in containers:
            read_container(data, model.coder)
        encode.append(middle - start)
        decode.append(time.perf_counter() - middle)
    return {"encode": seconds / median(encode), "decode": seconds / median(decode)}


def show(figures: EntropyFigures) -> None:
    """Print the figures as a table."""
    table = Table("kbps", "codes smaller by", "container smaller by", title=f"{figures.entropy_clips} clips")
    for rate, share in figures.entropy_saving.items():
        table.add_row(rate, f"{share:.1%}", f"{figures.container_saving[rate]:.1%}")
    speed = figures.entropy_realtime_factor
    console = Console()
    console.print(table)
    console.print(f"codes to bytes {speed['encode']:.0f} x real time, bytes to codes {speed['decode']:.0f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", type=Path, required=True, help="trained package with entropy tables")
    parser.add_argument("--clips", type=Path, required=True, help="folder of audio that the package never heard")
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures = measure(arguments.package, arguments.clips)
    show(figures)
    if arguments.json:
        print(json.dumps(dataclasses.asdict(figures)))


if __name__ == "__main__":
    main()
