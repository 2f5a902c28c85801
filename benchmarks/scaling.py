"""Training on many GPUs, on paper: bytes and seconds that a step takes beside computing (docs/scaling.md).

    python benchmarks/scaling.py [--json] [--config configs/train/nacre_16k.yaml] [--devices 8 64 512]
                                 [--step-seconds 0.1] [--node-bandwidth 200] [--network-bandwidth 20]
                                 [--latency-us 20] [--disk-bandwidth 1]

Bytes are exact: counted from the built networks and the configuration. Seconds follow from what the options assume;
none of those was measured on a GPU. Bandwidths are GB/s, for each device (links) and for one writer (disk).
"""

import argparse
import json
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).parents[1])

from rich.console import Console
from rich.table import Table
from torch import Tensor

from data_pipelines.calibration import MAX_SHARDS
from data_pipelines.settings import MAX_RECORD_SECONDS, BuildConfig
from training.cli import quiet_lightning
from training.module import CodecTrainer
from training.plan import PlannedTraining

ROOT = Path(__file__).parents[1]
DEVICES_A_NODE = 8
PCM_BYTES = 2
FP32_BYTES = 4
# Gradients of two networks, codebook statistics, the number of active stages, revived codes.
COLLECTIVES = 5


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """What is not known from the configuration: a step's computing, links in GB/s and their latency, one disk."""

    step_seconds: float
    node_bandwidth: float
    network_bandwidth: float
    latency_us: float
    disk_bandwidth: float


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Bytes of one rank: what it hands to all-reduce each step, and what the first one writes as a checkpoint."""

    codec_gradients: int
    discriminator_gradients: int
    codebook_statistics: int
    revived_codes: int
    checkpoint: int

    @property
    def each_step(self) -> int:
        """Bytes all-reduced in a step with everything taking part."""
        return self.codec_gradients + self.discriminator_gradients + self.codebook_statistics + self.revived_codes


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One number of devices. `efficiency` is computing's share of a step when nothing overlaps."""

    devices: int
    audio_seconds_a_step: float
    communication_seconds: float
    efficiency: float
    read_bytes_a_second: float
    shards_a_second: float
    checkpoint_share: float
    start_read_bytes: float
    clips_a_rank: int
    least_hours: float


def count_traffic(module: CodecTrainer) -> Traffic:
    """Count the bytes from the networks as they are built."""
    quantizer = module.codec_config.quantizer
    entries = quantizer.num_quantizers * quantizer.codebook_size
    moving = quantizer.kind == "ema"
    dimension = module.codec_config.latent_dim
    learned = _bytes(module.parameters())
    return Traffic(
        codec_gradients=_bytes(module.codec.parameters()),
        discriminator_gradients=_bytes(module.discriminator.parameters()),
        codebook_statistics=FP32_BYTES * entries * (dimension + 1 if moving else 1),
        revived_codes=FP32_BYTES * quantizer.codebook_size * dimension if moving else 0,
        checkpoint=2 * _bytes(module.state_dict().values()) + 2 * learned,
    )


def scale(module: CodecTrainer, config: Any, traffic: Traffic, devices: int, given: Assumptions) -> Scale:
    """Work out what `devices` devices do, each with the configuration's batch."""
    codec, stream = module.codec_config, config.data
    bandwidth = given.node_bandwidth if devices <= DEVICES_A_NODE else given.network_bandwidth
    ring = 2 * (devices - 1) / devices * traffic.each_step / (bandwidth * 1e9)
    waiting = COLLECTIVES * 2 * math.ceil(math.log2(devices)) * given.latency_us * 1e-6
    step = given.step_seconds + ring + waiting
    record_bytes = MAX_RECORD_SECONDS * codec.sample_rate * codec.channels * PCM_BYTES
    read = devices * stream.batch_size / stream.crops_per_record * record_bytes / step
    writing = traffic.checkpoint / (given.disk_bandwidth * 1e9)
    readers = devices * max(1, stream.num_workers)
    records = readers * math.ceil(stream.batch_size / stream.crops_per_record)
    shard_bytes = BuildConfig().shard_bytes
    return Scale(
        devices=devices,
        audio_seconds_a_step=devices * stream.batch_size * stream.segment_samples / codec.sample_rate,
        communication_seconds=ring + waiting,
        efficiency=given.step_seconds / step,
        read_bytes_a_second=read,
        shards_a_second=read / shard_bytes,
        checkpoint_share=writing / (writing + config.run.checkpoint_every_n_steps * step),
        start_read_bytes=devices * MAX_SHARDS * shard_bytes,
        clips_a_rank=math.ceil(stream.max_val_clips / devices),
        least_hours=records * MAX_RECORD_SECONDS / 3600,
    )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def show(traffic: Traffic, scales: list[Scale]) -> None:
    console = Console(width=120)
    for name, value in {**asdict(traffic), "each_step": traffic.each_step}.items():
        console.print(f"{name.replace('_', ' '):<26}{value:>13,} bytes", highlight=False)
    names = ("devices", "audio", "comm.", "efficiency", "reads", "shards", "ckpt.", "start", "clips", "least data")
    table = Table(*names)
    for row in scales:
        table.add_row(
            str(row.devices),
            f"{row.audio_seconds_a_step:,.0f} s",
            f"{1e3 * row.communication_seconds:.1f} ms",
            f"{row.efficiency:.1%}",
            f"{row.read_bytes_a_second / 1e9:,.1f} GB/s",
            f"{row.shards_a_second:.1f}/s",
            f"{row.checkpoint_share:.2%}",
            f"{row.start_read_bytes / 1e9:,.0f} GB",
            str(row.clips_a_rank),
            f"{row.least_hours:,.1f} h",
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--config", type=Path, default=ROOT / "configs/train/nacre_16k.yaml", help="training YAML")
    parser.add_argument("--devices", type=int, nargs="+", default=[8, 64, 512], help="numbers of devices")
    parser.add_argument("--step-seconds", type=float, default=0.1, help="computing of one step on one device")
    parser.add_argument("--node-bandwidth", type=float, default=200.0, help="GB/s of a device within its node")
    parser.add_argument("--network-bandwidth", type=float, default=20.0, help="GB/s of a device between nodes")
    parser.add_argument("--latency-us", type=float, default=20.0, help="microseconds of one hop of a collective")
    parser.add_argument("--disk-bandwidth", type=float, default=1.0, help="GB/s of one writer")
    options = parser.parse_args()
    given = Assumptions(**{name: getattr(options, name) for name in Assumptions.__dataclass_fields__})
    with quiet_lightning():
        planned = PlannedTraining(["--config", str(options.config), "--data.directory", "DATA"])
    traffic = count_traffic(planned.model)
    scales = [scale(planned.model, planned.config, traffic, count, given) for count in options.devices]
    if options.json:
        print(json.dumps({**asdict(traffic), "assumptions": asdict(given), "scales": [asdict(row) for row in scales]}))
    else:
        show(traffic, scales)


if __name__ == "__main__":
    main()
