"""The converter over loaded packages, in memory that doesn't grow with the file.

Two things are held whole, and bounded for that: a stretch of a container, and what is coded by networks that reach over
the whole file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from codec.audio import AudioLimits
from serving.jobs.converter import Progress
from serving.schemas import DecodeParameters, EncodeParameters, OutputParameters

if TYPE_CHECKING:
    from codec.audio_blocks import Blocks
    from codec.chunked import WindowCoder
    from codec.weights import LoadedPackage
    from serving.engine import Engine
    from serving.limits import ServiceLimits

MAX_WHOLE_SECONDS = 600.0
_CHOICES = {"bitrate_kbps", "num_quantizers", "denoise"}


def _uncoordinated(_: LoadedPackage) -> AbstractContextManager[WindowCoder | None]:
    return nullcontext()


class PackageConverter:
    """Converts with the package that a name or a container asks for.

    `named` returns the package of a name, or without one the default; `maker_of` that of a container's short
    fingerprint; both raise an error of codec/errors.py if there is none. `using` is held while a package works, and
    gives what windows go through (codec/chunked.py) if that is not the codec itself.
    """

    def __init__(
        self,
        named: Callable[[str | None], LoadedPackage],
        maker_of: Callable[[bytes], LoadedPackage],
        limits: AudioLimits,
        using: Callable[[LoadedPackage], AbstractContextManager[WindowCoder | None]] = _uncoordinated,
    ) -> None:
        self._named = named
        self._maker_of = maker_of
        self._limits = limits
        self._whole_limits = dataclasses.replace(limits, max_seconds=min(limits.max_seconds, MAX_WHOLE_SECONDS))
        self._using = using

    @classmethod
    def of(cls, engine: Engine, limits: ServiceLimits) -> PackageConverter:
        """Return the converter by an engine's models, between its requests."""
        return cls(
            lambda name: engine.models.choose(name).loaded,
            lambda fingerprint: engine.models.maker_of(fingerprint).loaded,
            limits.job_audio(limits.audio),
            engine.using,
        )

    def check(self, parameters: EncodeParameters | DecodeParameters) -> None:
        """Check that there is a model with such a bitrate.

        Raises:
            BitrateError: The model has no such bitrate or number of quantizers.
            CapabilityError: The model was not built to denoise.
            UnknownModelError: There is no such model.
        """
        if isinstance(parameters, EncodeParameters):
            config = self._named(parameters.model).package.config
            config.resolve_num_quantizers(parameters.num_quantizers, parameters.bitrate_kbps)
            if parameters.denoise:
                config.check_denoising()

    def encode(self, source: Path, target: Path, parameters: EncodeParameters, progress: Progress) -> None:
        """Encode an audio file, whose format its content tells. Raises what `conversion.encode_source` raises."""
        from serving.conversion import encode_source

        model, choice = self._named(parameters.model), parameters.model_dump(include=_CHOICES)
        with source.open("rb") as file, self._using(model) as through:
            told = _share_of(progress)
            encoded = encode_source(model, file, self._limits_of(model), **choice, progress=told, through=through)
        target.write_bytes(encoded.data)

    def decode(self, source: Path, target: Path, parameters: DecodeParameters, progress: Progress) -> None:
        """Decode a container.

        Raises:
            AudioError: There is no audio at the time wanted, or the format lacks the sample rate.
            BitstreamError: The container is damaged, or contradicts its model.
            LimitError: It, or the stretch wanted, is larger than allowed; nothing was unpacked.
            ModelMismatchError: No model that is served made it.
        """
        from codec.container import ContainerReader

        with source.open("rb") as file:
            header = ContainerReader(file).header
        model = self._maker_of(header.fingerprint)
        with self._using(model) as through:
            if parameters.start is None and parameters.duration is None:
                self._decode_whole(model, source, target, parameters, progress, through)
            else:
                self._decode_stretch(model, source, target, parameters)

    def _decode_whole(
        self,
        model: LoadedPackage,
        source: Path,
        target: Path,
        parameters: DecodeParameters,
        progress: Progress,
        through: WindowCoder | None,
    ) -> None:
        from codec.compress import check_header
        from codec.compress_blocks import decompress_blocks
        from codec.container import ContainerReader

        limits = self._limits_of(model)
        with source.open("rb") as file:
            check_header(model.package, ContainerReader(file).header, limits)
        decoded = decompress_blocks(model, source.read_bytes(), limits, progress=_share_of(progress), through=through)
        header = decoded.header
        rate, count = header.source_sample_rate, header.source_num_samples
        _write(target, decoded.blocks, parameters, sample_rate=rate, channels=header.channels, num_samples=count)

    def _decode_stretch(self, model: LoadedPackage, source: Path, target: Path, parameters: DecodeParameters) -> None:
        from codec.excerpt import decompress_excerpt

        start_s, duration_s = parameters.start or 0.0, parameters.duration
        with source.open("rb") as file:
            audio = decompress_excerpt(model, file, start_s=start_s, duration_s=duration_s, limits=self._whole_limits)
        facts = {"sample_rate": audio.sample_rate, "channels": audio.channels, "num_samples": audio.num_samples}
        _write(target, [audio.samples], parameters, **facts)

    def _limits_of(self, model: LoadedPackage) -> AudioLimits:
        from codec.chunked import can_chunk

        config = model.package.config
        return self._limits if config.segments is not None or can_chunk(config) else self._whole_limits


def _share_of(progress: Progress) -> Callable[[float, float], None]:
    """Return what is told seconds (codec/compress_blocks.py), and tells the share."""
    return lambda done, whole: progress(done / whole if whole else 1.0)


def _write(target: Path, blocks: Blocks, output: OutputParameters, **facts: int) -> None:
    from codec.audio_blocks import write_blocks_as

    write_blocks_as(output.format, target, blocks, subtype=output.subtype, metadata=None, **facts)
