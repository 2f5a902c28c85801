"""Joins the three: audio to codes by the model, codes to bytes by the container, and back.

A codec of C channels codes audio of any multiple of C as independent streams of C channels (a mono codec codes stereo
as two). Audio at another rate is resampled to the codec's, and decoding returns to the source's rate and exact length.

Axes: samples [channels, T]; codes [S, K, L], S streams; scales [S, N], N segments, or [S, 0] of a codec without.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray

from codec.audio import Audio, AudioLimits, fit_length, resample, resampled_length
from codec.config import CodecConfig
from codec.container import Header, container_bytes, fit_block, read_container, read_header, write_container
from codec.errors import AudioError, BitstreamError, CapabilityError, LimitError, ModelMismatchError
from codec.metadata import Metadata
from codec.model import Codec
from codec.package import Package
from codec.segments import SegmentedCodes, decode_segments, encode_segments
from codec.weights import LoadedPackage

BLOCK_SECONDS = 1.0


def compress(
    model: LoadedPackage,
    audio: Audio,
    *,
    num_quantizers: int | None = None,
    bitrate_kbps: float | None = None,
    denoise: bool = False,
    metadata: Metadata | None = None,
) -> bytes:
    """Return the container of `audio`, without its noise if asked to. The bitrate is that of one stream.

    Raises:
        AudioError: The audio is empty, not finite, or its channels are no multiple of the codec's.
        BitrateError: The codec has no such bitrate or number of quantizers.
        CapabilityError: The codec was not built to denoise, or its segments don't fit into a container's blocks at this
            bitrate.
    """
    config = model.package.config
    stages = config.resolve_num_quantizers(num_quantizers, bitrate_kbps)
    _check_audio(audio, config)
    prepared = resample(audio, config.sample_rate)
    streams = torch.from_numpy(prepared.samples).unflatten(0, (-1, config.channels))
    device = next(model.codec.parameters()).device
    if denoise:
        config.check_denoising()
    if config.segments is None:
        codes, scales = model.codec.encode(streams.to(device), num_quantizers=stages, denoise=denoise), None
    else:
        coded = encode_segments(model.codec, streams.to(device), num_quantizers=stages)
        codes, scales = coded.codes, coded.scales.cpu().numpy()
    facts = (audio.channels, audio.sample_rate, audio.num_samples)
    return container_of(model, codes.cpu().numpy(), scales, *facts, metadata=metadata)


def container_of(
    model: LoadedPackage,
    codes: NDArray[np.int64],
    scales: NDArray[np.float32] | None,
    channels: int,
    source_sample_rate: int,
    source_num_samples: int,
    *,
    metadata: Metadata | None = None,
) -> bytes:
    """Return the container of codes [S, K, L], made by `model` from audio with those facts, and with those metadata.

    Raises:
        CapabilityError: The codec's segments don't fit into blocks, in so many streams and stages.
    """
    config = model.package.config
    header = Header(
        codec_name=config.name,
        fingerprint=model.package.short_fingerprint,
        sample_rate=config.sample_rate,
        num_samples=resampled_length(source_num_samples, source_sample_rate, config.sample_rate),
        source_sample_rate=source_sample_rate,
        source_num_samples=source_num_samples,
        channels=channels,
        num_streams=len(codes),
        num_quantizers=codes.shape[1],
        codebook_size=config.quantizer.codebook_size,
        hop_length=config.hop_length,
        frames_per_block=_frames_per_block(config, len(codes), codes.shape[1]),
        coder=b"" if model.coder is None else model.coder.fingerprint,
        overlap=None if config.segments is None else config.segments.overlap,
        metadata_bytes=0 if metadata is None else len(metadata.to_json()),
    )
    data = write_container(header, codes, scales, model.coder, metadata)
    if model.coder is not None and len(data) > container_bytes(packed := dataclasses.replace(header, coder=b"")):
        return write_container(packed, codes, scales, metadata=metadata)
    return data


def _frames_per_block(config: CodecConfig, num_streams: int, num_quantizers: int) -> int:
    """Return the frames of a segment, or of about a second."""
    size, segments = config.quantizer.codebook_size, config.segments
    if segments is None:
        return fit_block(round(BLOCK_SECONDS * config.frame_rate), num_streams, num_quantizers, size)
    frames = segments.length // config.hop_length
    if fit_block(frames, num_streams, num_quantizers, size, segmented=True) < frames:
        raise CapabilityError(
            f"a segment of '{config.name}' in {num_streams} stream(s) of {num_quantizers} quantizers is more than a"
            " container's block holds: choose a lower bitrate, or code fewer channels"
        )
    return frames


def decompress(model: LoadedPackage, data: bytes, limits: AudioLimits | None = None) -> Audio:
    """Return the audio of a container, at its source's sample rate, to the sample.

    Raises:
        BitstreamError: The container is damaged, or contradicts the model.
        LimitError: It claims to be larger than `limits` allow; nothing was unpacked.
        ModelMismatchError: Another model made it.
    """
    header = read_header(data)
    check_header(model.package, header, limits)
    container = read_container(data, model.coder)
    samples = decode_codes(model.codec, container.codes, container.scales, header.num_samples)
    decoded = Audio(samples=samples, sample_rate=header.sample_rate)
    restored = resample(decoded, header.source_sample_rate)
    return Audio(samples=fit_length(restored.samples, header.source_num_samples), sample_rate=header.source_sample_rate)


def decode_codes(
    codec: Codec, codes: NDArray[np.int64], scales: NDArray[np.float32], num_samples: int
) -> NDArray[np.float32]:
    """Return the samples [channels, num_samples] of codes [S, K, L], in segments with their scales."""
    device = next(codec.parameters()).device
    if codec.config.segments is None:
        samples = codec.decode(torch.from_numpy(codes).to(device), num_samples=num_samples)
    else:
        coded = SegmentedCodes(torch.from_numpy(codes), torch.from_numpy(scales)).to(device)
        samples = decode_segments(codec, coded, num_samples=num_samples)
    return samples.flatten(0, 1).cpu().numpy()


def check_header(package: Package, header: Header, limits: AudioLimits | None, stretch: Header | None = None) -> None:
    """Check, before anything is unpacked, that `package` made what `header` describes and that `limits` allow it.

    Only a `stretch` of it may be wanted: then that is what must keep to the limits.

    Raises:
        LimitError: It claims to be larger than `limits` allow.
        ModelMismatchError: Another model made it.
        BitstreamError: The fingerprint is this model's, but other fields are not.
    """
    _check_limits(stretch or header, limits or AudioLimits())
    _check_model(package, header)


def _check_model(package: Package, header: Header) -> None:
    config = package.config
    if header.fingerprint != package.short_fingerprint:
        made_by = f"'{header.codec_name}' with fingerprint {header.fingerprint.hex()}"
        given = f"'{config.name}' with fingerprint {package.short_fingerprint.hex()}"
        raise ModelMismatchError(f"the container was made by {made_by}, not by the model given, {given}")
    segments = None if header.overlap is None else header.segmentation
    agrees = (
        (header.sample_rate, header.hop_length) == (config.sample_rate, config.hop_length)
        and segments == config.segments
        and header.codebook_size == config.quantizer.codebook_size
        and header.num_quantizers <= config.quantizer.num_quantizers
        and header.channels == header.num_streams * config.channels
        and header.num_samples
        == resampled_length(header.source_num_samples, header.source_sample_rate, header.sample_rate)
    )
    if not agrees:
        raise BitstreamError("the container's header contradicts the model it names")


def _check_audio(audio: Audio, config: CodecConfig) -> None:
    if audio.num_samples == 0:
        raise AudioError("the audio holds no samples")
    check_channels(audio.channels, config)
    if not np.isfinite(audio.samples).all():
        raise AudioError("the audio holds samples that are not finite (NaN or infinity)")


def check_channels(channels: int, config: CodecConfig) -> None:
    """Check that the codec can code that many channels.

    Raises:
        AudioError: They are no multiple of the codec's.
    """
    if channels % config.channels:
        raise AudioError(f"the audio has {channels} channels; '{config.name}' codes {config.channels} at a time")


def _check_limits(header: Header, limits: AudioLimits) -> None:
    """Refuse what a container claims; its rate decides how far resampling grows it."""
    rate, channels = header.source_sample_rate, header.channels
    if not limits.min_sample_rate <= rate <= limits.max_sample_rate:
        rule = f"{limits.min_sample_rate} to {limits.max_sample_rate} Hz"
        raise LimitError(f"the container asks for a sample rate of {rate} Hz; allowed are {rule}")
    if channels > limits.max_channels:
        raise LimitError(f"the container has {channels} channels; allowed are 1 to {limits.max_channels}")
    seconds = max(header.seconds, header.source_num_samples / rate)
    if seconds > limits.max_seconds:
        raise LimitError(f"the container is {seconds:.0f} s long; allowed are {limits.max_seconds:g} s")
