"""A container's codes as JSON, for language models."""

from __future__ import annotations

from codec.container import read_container
from serving.models import ServedModel
from serving.schemas import Codes, StreamCodes


def codes_of(data: bytes, model: ServedModel) -> Codes:
    """Unpack a container that `model` made."""
    container = read_container(data, model.loaded.coder)
    header = container.header
    streams = [
        StreamCodes(codes=codes.tolist(), scales=scales.tolist())
        for codes, scales in zip(container.codes, container.scales, strict=True)
    ]
    return Codes(
        model=model.name,
        fingerprint=model.loaded.package.fingerprint,
        sample_rate=header.sample_rate,
        hop_length=header.hop_length,
        frame_rate=header.sample_rate / header.hop_length,
        codebook_size=header.codebook_size,
        num_quantizers=header.num_quantizers,
        num_samples=header.num_samples,
        channels=header.channels,
        source_sample_rate=header.source_sample_rate,
        source_num_samples=header.source_num_samples,
        offsets=[stage * header.codebook_size for stage in range(header.num_quantizers)],
        streams=streams,
    )
