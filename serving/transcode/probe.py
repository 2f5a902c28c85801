"""What the header of one file says of the work on it, without decoding anything."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codec.audio import AudioLimits, Source, probe_audio, resampled_length
from codec.config import CodecConfig
from codec.errors import AudioError
from codec.package import Package
from serving.transcode.entry import Entry
from serving.transcode.reason import explain
from serving.transcode.settings import Settings
from serving.transcode.sources.opening import EntryOpener
from serving.transcode.work import MAX_SECONDS

if TYPE_CHECKING:
    from codec.container import Header

# Of a container besides its codes: of each block of about a second, and of all.
_BLOCK_BYTES = 14
_FRAME_BYTES = 400
_PCM_BYTES = 2


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A file's format, its duration, the seconds that the model has to code, and the output's bytes, about."""

    format: str
    seconds: float
    model_seconds: float
    bytes_after: float


def probe(entry: Entry, opener: EntryOpener, package: Package, settings: Settings) -> Facts | str:
    """Return what is to be known of an entry, or why it will fail."""
    try:
        with ExitStack() as stack:
            content = stack.enter_context(opener.opened(entry))
            find: Callable[[Source, Package, Settings], Facts] = _container_facts if settings.decode else _audio_facts
            return find(content, package, settings)
    except Exception as error:  # whatever it is, the other files go on
        return explain(error)


def read_container_header(content: Source) -> Header:
    """Return the header of a container, with its totals; a file is left at its start.

    Raises:
        BitstreamError: It is no container, or is cut short.
    """
    from codec.container import ContainerReader

    with ExitStack() as stack:
        file = stack.enter_context(content.open("rb")) if isinstance(content, Path) else content
        header = ContainerReader(file).header
        file.seek(0)
    return header


def _audio_facts(content: Source, package: Package, settings: Settings) -> Facts:
    config = package.config
    info = probe_audio(content, AudioLimits(max_seconds=MAX_SECONDS))
    if info.num_samples == 0:
        raise AudioError("the audio holds no samples")
    if info.channels % config.channels:
        raise AudioError(f"the audio has {info.channels} channels; '{config.name}' codes {config.channels} at a time")
    streams = info.channels // config.channels
    frames = config.num_frames(resampled_length(info.num_samples, info.sample_rate, config.sample_rate))
    stages = settings.num_quantizers or config.quantizer.num_quantizers
    codes = streams * frames * _bits_per_frame(config, stages, package) / 8
    if settings.sink == "tokens":  # 16 bits a code
        codes = streams * frames * stages * 2
    overhead = _FRAME_BYTES + _BLOCK_BYTES * math.ceil(info.seconds)
    return Facts(
        format=info.format,
        seconds=info.seconds,
        model_seconds=info.seconds * streams,
        bytes_after=codes + overhead,
    )


def _bits_per_frame(config: CodecConfig, stages: int, package: Package) -> float:
    """Return the bits of a frame of one stream, less what entropy coding saved when its tables were fitted."""
    saving = package.metrics.get("entropy_saving") if package.has_entropy else None
    share = 1 - saving if isinstance(saving, float) else 1.0
    return stages * math.log2(config.quantizer.codebook_size) * share


def _container_facts(content: Source, package: Package, settings: Settings) -> Facts:
    from codec.compress import check_header

    header = read_container_header(content)
    check_header(package, header, AudioLimits(max_seconds=MAX_SECONDS))
    seconds = header.source_num_samples / header.source_sample_rate
    return Facts(
        format="nac",
        seconds=seconds,
        model_seconds=seconds * header.num_streams,
        bytes_after=header.source_num_samples * header.channels * _PCM_BYTES + 44,
    )
