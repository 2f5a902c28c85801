"""Decoding a part of a container: a stretch of time, or what a damaged one still holds.

A stretch is decoded with as many frames on each side as the decoder sees (codec/context.py), and as much audio as the
resampler sees, and cut afterwards: it is the whole file's stretch to within float rounding. Where a decoder's reach has
no end (an LSTM, a norm over time) that would take everything before the stretch, hours for a second, so the rule is two
seconds on each side: an LSTM has all but forgotten what was before, and the audio comes close, not equal.

Axes: samples [channels, T]; codes [S, K, L], S streams.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from codec.audio import Audio, AudioLimits, fit_length, resample
from codec.compress import check_limits, check_model
from codec.config import CodecConfig
from codec.container import ContainerReader, Header, ScanReport, recover_container
from codec.errors import AudioError
from codec.weights import LoadedPackage

UNBOUNDED_CONTEXT_SECONDS = 2.0
RESAMPLER_CONTEXT_SECONDS = 0.1
FADE_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Concealed:
    """The audio of a damaged container, silent where it is lost, and what the scan found."""

    audio: Audio
    report: ScanReport


def decompress_excerpt(
    model: LoadedPackage,
    file: BinaryIO,
    *,
    start_s: float,
    duration_s: float | None = None,
    limits: AudioLimits | None = None,
) -> Audio:
    """Return the audio from `start_s` on, `duration_s` long or up to the end, reading only the blocks it needs.

    Raises:
        AudioError: There is no audio at that time.
        BitstreamError: A block that it needs is damaged, or the container contradicts the model.
        LimitError: The stretch is larger than `limits` allow.
        ModelMismatchError: Another model made the container.
    """
    reader = ContainerReader(file)
    header = reader.header
    check_model(model.package, header)
    rate, source_rate, hop = header.sample_rate, header.source_sample_rate, header.hop_length
    first, last = _source_range(header, start_s, duration_s)
    before, after = _context_samples(model.package.config, resampled=rate != source_rate)
    # Begin where a frame begins and where samples of both rates coincide.
    step = math.lcm(hop, rate // math.gcd(rate, source_rate))
    begin = max(0, first * rate // source_rate - before) // step * step
    stop = min(header.num_samples, -(-last * rate // source_rate) + after)
    part = dataclasses.replace(header, num_samples=stop - begin, source_num_samples=last - begin * source_rate // rate)
    check_limits(part, limits or AudioLimits())
    codes = reader.read_frames(begin // hop, part.num_frames)
    restored = resample(_decode(model, codes, part), source_rate).samples
    skip = first - begin * source_rate // rate
    return Audio(samples=fit_length(restored[:, skip:], last - first), sample_rate=source_rate)


def decompress_damaged(model: LoadedPackage, data: bytes, limits: AudioLimits | None = None) -> Concealed:
    """Return the audio of everything undamaged; what is lost fades to silence within a tenth of a second.

    Raises:
        BitstreamError: The header can't be read, nothing is whole, or the container contradicts the model.
        LimitError: It claims to be larger than `limits` allow.
        ModelMismatchError: Another model made it.
    """
    recovered = recover_container(data)
    header = recovered.header
    check_limits(header, limits or AudioLimits())
    check_model(model.package, header)
    decoded = _decode(model, recovered.codes, header)
    gain = _gain(recovered.missing, header)
    restored = resample(
        Audio(samples=decoded.samples * gain, sample_rate=header.sample_rate), header.source_sample_rate
    )
    samples = fit_length(restored.samples, header.source_num_samples)
    return Concealed(audio=Audio(samples=samples, sample_rate=header.source_sample_rate), report=recovered.report)


def _source_range(header: Header, start_s: float, duration_s: float | None) -> tuple[int, int]:
    rate, total = header.source_sample_rate, header.source_num_samples
    length = total / rate
    if not 0 <= start_s < length or not (duration_s is None or duration_s > 0):
        raise AudioError(f"there is no audio from {start_s:g} s on, {duration_s} s long: it is {length:.2f} s long")
    first = min(round(start_s * rate), total - 1)
    if duration_s is None or duration_s >= length:
        return first, total
    return first, min(total, first + max(1, round(duration_s * rate)))


def _context_samples(config: CodecConfig, *, resampled: bool) -> tuple[int, int]:
    """Return how many samples before and after a stretch are to be decoded with it."""
    context = config.network.decoder_context(config.hop_length)
    if context is None:
        unbounded = math.ceil(UNBOUNDED_CONTEXT_SECONDS * config.sample_rate)
        return unbounded, unbounded
    more = math.ceil(RESAMPLER_CONTEXT_SECONDS * config.sample_rate) if resampled else 0
    # Hop l reaches to the end of its own frame.
    return context.left * config.hop_length + more, (context.right + 1) * config.hop_length + more


def _decode(model: LoadedPackage, codes: NDArray[np.int64], header: Header) -> Audio:
    device = next(model.codec.parameters()).device
    samples = model.codec.decode(torch.from_numpy(codes.copy()).to(device), num_samples=header.num_samples)
    return Audio(samples=samples.flatten(0, 1).cpu().numpy(), sample_rate=header.sample_rate)


def _gain(missing: NDArray[np.bool_], header: Header) -> NDArray[np.float32]:
    """Return a gain [T] of 1 wherever frames are there, falling to 0 with the distance from them."""
    lost = np.repeat(missing, header.hop_length)[: header.num_samples]
    position = np.arange(len(lost), dtype=np.float64)
    since = position - np.maximum.accumulate(np.where(lost, -np.inf, position))
    until = np.minimum.accumulate(np.where(lost, np.inf, position)[::-1])[::-1] - position
    fade = FADE_SECONDS * header.sample_rate
    return np.clip(1 - np.minimum(since, until) / fade, 0, 1).astype(np.float32)
