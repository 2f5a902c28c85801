"""A container becomes the record of its codes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from codec.audio import AudioLimits
from codec.compress import check_header
from codec.container import Container, read_container
from codec.errors import DataError
from codec.package import Package
from codec.weights import LoadedPackage
from serving.transcode.tokens.delay import apply_delay
from serving.transcode.tokens.key import record_key
from serving.transcode.tokens.record import CODES, FACTS, SCALES, TEXT, Members, npy_bytes

# The container is here already, and its codes are all that memory is taken for.
_NO_LIMITS = AudioLimits(max_seconds=float("inf"), max_channels=255, min_sample_rate=1, max_sample_rate=1 << 32)


def token_record(
    model: LoadedPackage, container: bytes, name: str, notes: Mapping[str, str], *, delay: bool = False
) -> Members:
    """Return the files of the record of a container that `model` made of the source `name`.

    `notes` are the texts beside the source by their suffixes, `txt` and `json`.

    Raises:
        BitstreamError: The container is damaged.
        CapabilityError: The codebook leaves no value for the padding of a delay.
        DataError: The `json` beside the source is none.
        ModelMismatchError: Another model made the container.
    """
    parsed = read_container(container, model.coder)
    header = parsed.header
    check_header(model.package, header, _NO_LIMITS)
    codes = parsed.codes.astype(np.uint16).reshape(-1, header.num_frames)
    if delay:
        codes = apply_delay(codes, header.num_quantizers, header.codebook_size)
    facts = _facts(model.package, parsed, name, delay=delay)
    if "json" in notes:
        facts["note"] = _parse_note(notes["json"], name)
    key = record_key(name)
    members = [(key + CODES, npy_bytes(codes)), (key + FACTS, _json(facts))]
    if header.overlap is not None:
        members.append((key + SCALES, npy_bytes(parsed.scales)))
    if "txt" in notes:
        members.append((key + TEXT, notes["txt"].encode()))
    return members


def _facts(package: Package, parsed: Container, name: str, *, delay: bool) -> dict[str, Any]:
    header = parsed.header
    facts: dict[str, Any] = {
        "source": name.encode(errors="replace").decode(),
        "model": package.config.name,
        "fingerprint": package.fingerprint,
        "sample_rate": header.sample_rate,
        "num_samples": header.num_samples,
        "source_sample_rate": header.source_sample_rate,
        "source_num_samples": header.source_num_samples,
        "seconds": header.source_num_samples / header.source_sample_rate,
        "channels": header.channels,
        "streams": header.num_streams,
        "hop_length": header.hop_length,
        "frame_rate": header.sample_rate / header.hop_length,
        "num_frames": header.num_frames,
        "num_quantizers": header.num_quantizers,
        "codebook_size": header.codebook_size,
        "pattern": "delay" if delay else "parallel",
        "padding": header.codebook_size if delay else None,
    }
    if header.overlap is not None:
        facts["segment_frames"] = header.frames_per_block
        facts["segment_overlap_samples"] = header.overlap
    if parsed.metadata is not None:
        facts["metadata"] = json.loads(parsed.metadata.to_json())
    return facts


def _parse_note(text: str, name: str) -> Any:
    """Parse the JSON beside a source."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        _json(value)
    except (ValueError, RecursionError) as error:
        raise DataError(f"the json beside '{name}' is none that can be carried ({error}): mend it") from None
    return value


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not in the standard")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True).encode()
