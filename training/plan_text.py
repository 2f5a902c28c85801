"""A plan as lines to read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from training.plan import Memory, MultiplyAdds, Parameters, Plan

MEGABYTE, GIGABYTE = 10**6, 10**9


def plan_lines(plan: Plan) -> Iterator[str]:
    """Yield the lines of `nacre train plan`."""
    devices = f"{plan.devices} device{'s' if plan.devices > 1 else ''}"
    batch = f"{plan.batch_size} crops of {plan.segment_s:g} s"
    yield f"{plan.name}: {plan.steps:,} steps on {devices}, {batch} each a step"
    yield f"  parameters     {_parameters(plan.parameters)}"
    yield f"  multiply-adds  {_multiply_adds(plan.multiply_adds)}"
    yield f"  memory         {_memory(plan.memory)}"
    yield f"  audio          {_audio(plan)}"
    yield f"  time           {_time(plan)}"
    for assumption in plan.assumptions:
        yield f"  assuming that {assumption}"


def _parameters(parameters: Parameters) -> str:
    codec = parameters.encoder + parameters.quantizer + parameters.decoder
    parts = f"encoder {parameters.encoder:,}, quantizer {parameters.quantizer:,}, decoder {parameters.decoder:,}"
    return f"codec {codec:,} ({parts}), discriminator {parameters.discriminator:,}"


def _multiply_adds(counts: MultiplyAdds) -> str:
    codec = counts.encoder + counts.quantizer + counts.decoder
    return f"a second of audio, forwards: codec {codec / 1e9:.3f}G, discriminator {counts.discriminator / 1e9:.3f}G"


def _memory(memory: Memory) -> str:
    names = ("weights", "gradients", "optimizer", "average", "step", "codebook_start")
    parts = ", ".join(f"{name.replace('_', ' ')} {getattr(memory, name) / MEGABYTE:,.0f}" for name in names)
    return f"{memory.total / GIGABYTE:.2f} GB of tensors a device (MB: {parts}; the last two not at once)"


def _audio(plan: Plan) -> str:
    heard = f"{plan.audio.hours_heard:,.1f} hours heard"
    if plan.audio.hours_of_data is None:
        return heard
    epochs = "" if plan.audio.epochs is None else f", {plan.audio.epochs:,.1f} epochs"
    return f"{heard}{epochs} of a data set of {plan.audio.hours_of_data:,.2f} hours"


def _time(plan: Plan) -> str:
    time = plan.time
    if time is None:
        return "not measured"
    total = timedelta(seconds=round(time.total_s))
    steps = f"{time.reconstruction_step_s:.3g} s a step, {time.adversarial_step_s:.3g} s with the discriminator"
    return f"{total} ({steps}; timed on {time.device} at batch {time.batch_size})"
