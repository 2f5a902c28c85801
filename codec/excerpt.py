"""Decoding a part of a container: a stretch of time, or what a damaged one still holds.

A stretch is decoded with as many frames on each side as the decoder sees (codec/context.py), or of a codec that codes
in segments with those in which it lies, and as much audio as the resampler sees, and cut afterwards: it is the whole
file's stretch to within float rounding. Where a decoder's reach has no end (an LSTM, a norm over time) that would take
everything before the stretch, hours for a second, so the rule is two seconds on each side: an LSTM has all but
forgotten what was before, and the audio comes close, not equal.

Axes: samples [channels, T]; codes [S, K, L], S streams; scales [S, N], N segments.
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
from codec.compress import check_header, decode_codes
from codec.config import CodecConfig
from codec.container import ContainerReader, Header, ScanReport, recover_container, scan_container
from codec.errors import AudioError
from codec.model import Codec
from codec.segments import SegmentedCodes, decode_segment_blocks
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
    reader = ContainerReader(file, model.coder)
    header = reader.header
    rate, source_rate = header.sample_rate, header.source_sample_rate
    first, last = _source_range(header, start_s, duration_s)
    before, after = _context_samples(model.package.config, resampled=rate != source_rate)
    # Begin where a frame begins and where samples of both rates coincide.
    step = math.lcm(header.hop_length, rate // math.gcd(rate, source_rate))
    begin = max(0, first * rate // source_rate - before) // step * step
    stop = min(header.num_samples, -(-last * rate // source_rate) + after)
    skipped = begin * source_rate // rate
    part = dataclasses.replace(header, num_samples=stop - begin, source_num_samples=last - skipped)
    check_header(model.package, header, limits, stretch=part)
    samples = _decode_stretch(model.codec, reader, begin, stop)
    restored = resample(Audio(samples=samples, sample_rate=rate), source_rate).samples
    return Audio(samples=fit_length(restored[:, first - skipped :], last - first), sample_rate=source_rate)


def decompress_damaged(model: LoadedPackage, data: bytes, limits: AudioLimits | None = None) -> Concealed:
    """Return the audio of everything undamaged; what is lost fades to silence within a tenth of a second.

    Raises:
        BitstreamError: The header can't be read, nothing is whole, or the container contradicts the model.
        LimitError: It claims to be larger than `limits` allow.
        ModelMismatchError: Another model made it.
    """
    header = scan_container(data).header
    check_header(model.package, header, limits)
    recovered = recover_container(data, model.coder)
    decoded = decode_codes(model.codec, recovered.codes, recovered.scales, header.num_samples)
    faded = Audio(samples=decoded * _gain(recovered.missing, header), sample_rate=header.sample_rate)
    restored = resample(faded, header.source_sample_rate)
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
    more = math.ceil(RESAMPLER_CONTEXT_SECONDS * config.sample_rate) if resampled else 0
    if config.segments is not None:
        return more, more
    context = config.network.decoder_context(config.hop_length)
    if context is None:
        unbounded = math.ceil(UNBOUNDED_CONTEXT_SECONDS * config.sample_rate)
        return unbounded, unbounded
    # Hop l reaches to the end of its own frame.
    return context.left * config.hop_length + more, (context.right + 1) * config.hop_length + more


def _decode_stretch(codec: Codec, reader: ContainerReader, begin: int, stop: int) -> NDArray[np.float32]:
    """Return the samples [channels, stop - begin] from `begin`, where a frame begins, to `stop`."""
    header, segments = reader.header, codec.config.segments
    if segments is None:
        first = begin // header.hop_length
        codes = reader.read_frames(first, -(-stop // header.hop_length) - first)
        return decode_codes(codec, codes, np.empty((len(codes), 0), np.float32), stop - begin)
    device = next(codec.parameters()).device
    covering = segments.covering(begin, stop)
    blocks = (
        SegmentedCodes(torch.from_numpy(block.codes), torch.from_numpy(block.scales)).to(device)
        for block in reader.read_blocks(covering)
    )
    audio = list(decode_segment_blocks(codec, blocks, num_samples=header.num_samples, first=covering.start))
    skip = begin - covering.start * segments.stride
    return torch.cat(audio, dim=-1)[..., skip : skip + stop - begin].flatten(0, 1).cpu().numpy()


def _gain(missing: NDArray[np.bool_], header: Header) -> NDArray[np.float32]:
    """Return a gain [T] of 1 wherever frames are there, falling to 0 with the distance from them."""
    lost = np.ones(header.num_samples, np.bool_)
    for index in range(header.num_blocks):
        if not missing[header.first_frame(index)]:
            lost[slice(*header.block_range(index))] = False
    position = np.arange(len(lost), dtype=np.float64)
    since = position - np.maximum.accumulate(np.where(lost, -np.inf, position))
    until = np.minimum.accumulate(np.where(lost, np.inf, position)[::-1])[::-1] - position
    fade = FADE_SECONDS * header.sample_rate
    return np.clip(1 - np.minimum(since, until) / fade, 0, 1).astype(np.float32)
