"""What a training run would cost and give, before it starts: parameters, operations, memory, audio and time.

Parameters, steps and audio are exact. Memory is what a run keeps (weights, gradients, two moments of AdamW, averaged
weights), exactly, and what a step makes (activations, temporaries), counted in real steps on a CPU at two small batches
and drawn out as a line. Time is measured on the machine that plans. `ASSUMPTIONS` says what is taken for granted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from codec.describe import describe_codec
from codec.errors import RunError
from data_pipelines.folder import DataFolder
from data_pipelines.index import read_index
from data_pipelines.progress import Advance, progress_bar
from training.cli import TrainingCLI, build_cli, count_processes, quiet_lightning
from training.module import CodecTrainer
from training.rehearsal import encoding_bytes, rehearse, synthetic_audio

ASSUMPTIONS = (
    "every device is as fast as this machine's, keeps its batch size, and waits for neither data nor other devices",
    "validation, checkpoints and the start of the codebooks take no time",
    "memory is of tensors: an allocator that keeps what is free can take half as much again, the process about 0.5 GB",
)
# Activations grow along a line through these batch sizes.
SMALL_BATCHES = (2, 4)
TIMED_STEPS = 4
# A full batch is timed unless a step of it would take longer, by the small batches.
MOST_SECONDS_A_STEP = 20.0
PLACEHOLDER = "."


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Numbers that a run learns; `codebooks` learned by moving averages count too, as `quantizer`."""

    encoder: int
    quantizer: int
    decoder: int
    discriminator: int


@dataclass(frozen=True, kw_only=True)
class MultiplyAdds:
    """Multiply-adds for one second of audio, forwards, once, with every stage of the quantizer."""

    encoder: int
    quantizer: int
    decoder: int
    discriminator: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of tensors on each device.

    Attributes:
        weights: Parameters and buffers of all networks, codebooks and their averages included.
        gradients: One number a parameter.
        optimizer: AdamW's two moments of each parameter.
        average: The averaged copy.
        step: Most that one step makes besides.
        codebook_start: Most that coding the calibration audio for k-means makes, once.
    """

    weights: int
    gradients: int
    optimizer: int
    average: int
    step: int
    codebook_start: int

    @property
    def total(self) -> int:
        """What must fit: all that is kept, and the larger of what comes and goes."""
        kept = self.weights + self.gradients + self.optimizer + self.average
        return kept + max(self.step, self.codebook_start)


@dataclass(frozen=True, kw_only=True)
class Audio:
    """Hours heard, over all devices; of a data set its hours too, and epochs, each record being in each once."""

    hours_heard: float
    hours_of_data: float | None = None
    epochs: float | None = None


@dataclass(frozen=True, kw_only=True)
class Time:
    """Seconds of a step before and after the discriminator joins, and of all; timed at `batch_size` on `device`."""

    reconstruction_step_s: float
    adversarial_step_s: float
    total_s: float
    batch_size: int
    device: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run on paper."""

    name: str
    devices: int
    steps: int
    batch_size: int
    segment_s: float
    parameters: Parameters
    multiply_adds: MultiplyAdds
    memory: Memory
    audio: Audio
    time: Time | None
    assumptions: tuple[str, ...] = ASSUMPTIONS

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` can write."""
        data = asdict(self)
        data["memory"]["total"] = self.memory.total
        return data


class PlannedTraining(TrainingCLI):
    """A configuration that was parsed and whose module was built: no data is opened and no run made."""

    def instantiate_classes(self) -> None:
        """Build the module."""
        self.config_init = self.parser.instantiate_classes(self.config)
        self.model = self.config_init.model


def make_plan(
    arguments: Sequence[str], *, devices: int | None = None, data: str | None = None, measure: bool = True
) -> Plan:
    """Plan the run that `nacre train fit` would make of `arguments`.

    Raises:
        RunError: trainer.max_steps is missing.
        DataError: `data` is no data set.
        click.UsageError: The configuration has an unknown key or a bad value.
    """
    words = ["--data.directory", data or PLACEHOLDER, *arguments]
    with quiet_lightning():
        cli = build_cli(PlannedTraining, words)
        return _plan(cli.model, cli.config, devices, data, measure)


def _plan(module: CodecTrainer, config: Any, devices: int | None, data: str | None, measure: bool) -> Plan:
    trainer, stream = config.trainer, config.data
    if trainer.max_steps < 1:
        raise RunError("trainer.max_steps must be given: it is how long the run is")
    count = devices or count_processes(trainer.accelerator, trainer.devices, trainer.num_nodes)
    crops = trainer.max_steps * stream.batch_size * count
    with progress_bar("measuring steps", 5 if measure else 2, "parts") as advance:
        memory = estimate_memory(module, stream.batch_size, stream.segment_samples, trainer.precision, advance)
        time = _measure_time(module, config, advance) if measure else None
    parts = describe_codec(module.codec_config)
    discriminator = sum(parameter.numel() for parameter in module.discriminator.parameters())
    return Plan(
        name=module.codec_config.name,
        devices=count,
        steps=trainer.max_steps,
        batch_size=stream.batch_size,
        segment_s=stream.segment_samples / module.codec_config.sample_rate,
        parameters=Parameters(
            encoder=parts.encoder.parameters,
            quantizer=parts.quantizer.parameters,
            decoder=parts.decoder.parameters,
            discriminator=discriminator,
        ),
        multiply_adds=MultiplyAdds(
            encoder=parts.encoder.multiply_adds,
            quantizer=parts.quantizer.multiply_adds,
            decoder=parts.decoder.multiply_adds,
            discriminator=_discriminator_multiply_adds(module),
        ),
        memory=memory,
        audio=_audio(crops, stream, module.codec_config.sample_rate, data),
        time=time,
    )


def estimate_memory(
    module: CodecTrainer, batch_size: int, segment_samples: int, precision: Any, advance: Advance
) -> Memory:
    """Estimate what training `module` takes on each device, the discriminator included if it ever starts."""
    tensors = [*module.parameters(), *module.buffers()]
    learned = _bytes(parameter for parameter in module.parameters() if parameter.requires_grad)
    steps, starts = [], []
    for batch in SMALL_BATCHES:
        rehearsal = rehearse(
            module,
            batch_size=batch,
            segment_samples=segment_samples,
            steps=1,
            precision=precision,
            accelerator="cpu",
            adversarial=module.discriminator_config.start_step is not None,
            counts_memory=True,
        )
        steps.append(rehearsal.peak_bytes)
        starts.append(encoding_bytes(module, batch, segment_samples))
        advance()
    return Memory(
        weights=_bytes(tensors),
        gradients=learned,
        optimizer=2 * learned,
        average=_bytes(tensors),
        step=_on_line(steps, batch_size),
        codebook_start=_on_line(starts, module.quantizer_training.calibration_segments),
    )


def _on_line(values: Sequence[int], at: int) -> int:
    """Return the value at `at` of the line through `values` at the small batches."""
    first, second = SMALL_BATCHES
    slope = (values[1] - values[0]) / (second - first)
    return round(values[0] + slope * (at - first))


def _bytes(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _discriminator_multiply_adds(module: CodecTrainer) -> int:
    second = synthetic_audio(module, 1, module.codec_config.sample_rate)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.discriminator(second)
    return int(counter.get_total_flops()) // 2


def _audio(crops: int, stream: Any, sample_rate: int, data: str | None) -> Audio:
    hours = crops * stream.segment_samples / sample_rate / 3600
    if data is None:
        return Audio(hours_heard=hours)
    index, _ = read_index(DataFolder(data))
    epoch = index.num_records("train") * stream.crops_per_record
    return Audio(
        hours_heard=hours, hours_of_data=index.seconds("train") / 3600, epochs=crops / epoch if epoch else None
    )


def _measure_time(module: CodecTrainer, config: Any, advance: Advance) -> Time:
    """Time steps without and with the discriminator, and add up the run's."""
    accelerator = "cpu" if config.trainer.accelerator == "cpu" or not torch.accelerator.is_available() else "auto"
    options = {
        "segment_samples": config.data.segment_samples,
        "precision": config.trainer.precision,
        "accelerator": accelerator,
    }
    small = rehearse(module, batch_size=SMALL_BATCHES[0], steps=1, adversarial=True, **options)
    advance()
    fits = small.seconds / SMALL_BATCHES[0] * config.data.batch_size <= MOST_SECONDS_A_STEP
    batch = config.data.batch_size if fits else SMALL_BATCHES[0]
    seconds = []
    for adversarial in (False, True):
        timed = rehearse(module, batch_size=batch, steps=TIMED_STEPS, adversarial=adversarial, **options)
        seconds.append(timed.seconds * config.data.batch_size / batch)
        advance()
    start, steps = module.discriminator_config.start_step, config.trainer.max_steps
    before = steps if start is None else min(start, steps)
    return Time(
        reconstruction_step_s=seconds[0],
        adversarial_step_s=seconds[1],
        total_s=before * seconds[0] + (steps - before) * seconds[1],
        batch_size=batch,
        device=accelerator if accelerator == "cpu" else str(torch.accelerator.current_accelerator()),
    )
