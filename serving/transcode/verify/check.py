"""One file's checks: both sides unaltered, the output decoded whole, as long as its source and close enough to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codec.compress_blocks import Progress
from codec.errors import NacreError
from codec.weights import LoadedPackage, load_package
from serving.transcode.verify.excerpt import Excerpt, make_excerpt
from serving.transcode.verify.finding import MEASURES, SI_SDR, VISQOL, Finding, rounded
from serving.transcode.verify.items import CheckJob, Item
from serving.transcode.verify.quality import Quality, Score, measure
from serving.transcode.verify.sides import Sound, opened_sides
from serving.transcode.work import Tell, advancing


def check_item(job: CheckJob, item: Item, tell: Tell) -> Finding:
    """Return what the checks of a file find; whatever is wrong with it is its `reason`.

    `tell` is told how far it is.
    """
    finding = Finding(source=item.source.name, output=item.output.name, status="failed")
    model = _model(job.package)
    try:
        with opened_sides(item, job.scratch) as (source, output):
            original, decoded = source.sound(model, job.limits), output.sound(model, job.limits)
            decoded = _watched(decoded, advancing(item.source.name, tell))
            coded = source if item.decode else output
            if not item.decode and decoded.made_from not in (None, item.source_sha256):
                return replace(finding, reason="its output says that it was made from another file: transcode again")
            return _compared(job, finding, original, decoded, coded.num_bytes)
    except NacreError as error:
        return replace(finding, reason=str(error))
    except OSError as error:
        return replace(finding, reason=f"it can't be read: {error.strerror or error}")


def cut_excerpt(job: CheckJob, found: tuple[Item, Finding]) -> Excerpt | None:
    """Return the worst seconds of a file that was measured, or None if it can't be read any more."""
    item, finding = found
    model = _model(job.package)
    start, seconds = finding.worst_start_s or 0.0, finding.worst_seconds or 0.0
    try:
        with opened_sides(item, job.scratch) as sides:
            original, decoded = (side.stretch(model, job.limits, start, seconds) for side in sides)
            return make_excerpt(original, decoded, start)
    except (NacreError, OSError):
        return None


@cache
def _model(package: Path) -> LoadedPackage:
    return load_package(package)


def _watched(sound: Sound, progress: Progress) -> Sound:
    """Return the same sound, of which `progress` is told how much was taken."""

    def blocks() -> Iterator[NDArray[np.float32]]:
        taken = 0
        for block in sound.blocks:
            yield block
            taken += block.shape[1]
            progress(taken / sound.sample_rate, sound.num_samples / sound.sample_rate)

    return replace(sound, blocks=blocks())


def _compared(job: CheckJob, finding: Finding, original: Sound, decoded: Sound, coded_bytes: int) -> Finding:
    """Return the finding of a file whose both sides are there.

    Raises:
        DataError: One can't be decoded.
    """
    rate, channels = decoded.sample_rate, decoded.channels
    finding = replace(finding, sample_rate=rate, channels=channels)
    if rate != original.sample_rate:
        return replace(finding, reason=f"its output has {rate} Hz, its source {original.sample_rate} Hz")
    if channels != original.channels:
        return replace(finding, reason=f"its output has {channels} channels, its source {original.channels}")
    quality = measure(
        original.blocks,
        decoded.blocks,
        sample_rate=rate,
        channels=channels,
        num_samples=decoded.num_samples,
        with_visqol=job.floors.visqol is not None,
    )
    seconds = quality.decoded_samples / rate
    kbps = coded_bytes * 8 / seconds / 1000 if seconds else None
    finding = replace(_with_scores(finding, quality, rate), seconds=seconds, measured_kbps=kbps)
    if quality.original_samples != quality.decoded_samples:
        lengths = f"{quality.decoded_samples} samples long, its source {quality.original_samples}"
        return replace(finding, reason=f"its output is {lengths}")
    return _judged(job, finding)


def _with_scores(finding: Finding, quality: Quality, sample_rate: int) -> Finding:
    scores: dict[str, Score | None] = {VISQOL.name: quality.visqol, SI_SDR.name: quality.si_sdr_db}
    values: dict[str, float] = {}
    window = quality.window_samples / sample_rate
    for name in (one.name for one in reversed(MEASURES)):
        if (score := scores[name]) is not None:
            values |= {name: rounded(score.value), f"{name}_worst": rounded(score.worst)}
            values |= {"worst_start_s": score.worst_window * window, "worst_seconds": window}
    return replace(finding, undefined=quality.undefined or None, **values)  # type: ignore[arg-type]  # names of floats


def _judged(job: CheckJob, finding: Finding) -> Finding:
    below = job.floors.below(finding.value)
    if not below:
        return replace(finding, status="ok")
    misses = [
        f"its {one.label} of {one.format(finding.value(one.name) or 0.0)} is below "
        f"{one.format(getattr(job.floors, one.name))}"
        for one in MEASURES
        if one.name in below
    ]
    return replace(finding, below=below, reason=", ".join(misses))
