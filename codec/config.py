"""The configuration of a codec: what `codec.json` in a package holds, verbatim, and all that rebuilding it needs.

Frozen, keyword-only, and complete: derived values are properties, never settings. Unknown or missing keys are errors.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from codec.checks import check
from codec.dac.config import DacConfig
from codec.errors import BitrateError, CapabilityError, PackageError
from codec.nacre.config import NacreConfig
from codec.seanet.config import SeanetConfig
from codec.segmentation import Segmentation

# The network's configuration of each family; codec/families.py builds the networks.
NETWORK_CONFIGS: dict[str, type[NacreConfig | SeanetConfig | DacConfig]] = {
    "nacre": NacreConfig,
    "seanet": SeanetConfig,
    "dac": DacConfig,
}


@dataclass(frozen=True, kw_only=True)
class QuantizerConfig:
    """Residual vector quantizer.

    Its codebooks are learned by exponential moving average in the latents' own space (`ema`, codec/quantizer.py), or by
    gradient in a few projected dimensions (`factorized`, codec/factorized.py).
    """

    kind: Literal["ema", "factorized"] = "ema"
    num_quantizers: int = 12
    codebook_size: int = 1024
    # Dimensions of the factorised codes; 0 for EMA codebooks, which have the latents' own.
    codebook_dim: int = 0
    # EMA decay of cluster sizes and sums, per training step.
    ema_decay: float = 0.99
    # A code used less than this share of the mean is dead; an EMA codebook replaces it by a vector of the batch.
    dead_share: float = 0.03

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: A value is out of range.
        """
        check(1 <= self.num_quantizers <= 255, "num_quantizers", self.num_quantizers, "from 1 to 255")
        check(2 <= self.codebook_size <= 65536, "codebook_size", self.codebook_size, "from 2 to 65536")
        check(self.kind in ("ema", "factorized"), "kind", self.kind, "ema or factorized")
        if self.kind == "ema":
            check(self.codebook_dim == 0, "codebook_dim", self.codebook_dim, "0 with EMA codebooks")
        else:
            check(self.codebook_dim >= 1, "codebook_dim", self.codebook_dim, "at least 1 with factorized codebooks")
        check(0 < self.ema_decay < 1, "ema_decay", self.ema_decay, "between 0 and 1")
        check(0 <= self.dead_share < 1, "dead_share", self.dead_share, "from 0 to below 1")

    @property
    def bits_per_code(self) -> int:
        """Bits that one index takes when packed."""
        return (self.codebook_size - 1).bit_length()


@dataclass(frozen=True, kw_only=True)
class CodecConfig:
    """A whole codec.

    `name` is the codec's id, written into every container. Audio is [B, channels, T] at `sample_rate` Hz; one frame of
    codes covers `hop_length` samples; latents have `latent_dim` dimensions.
    """

    name: str
    family: Literal["nacre", "seanet", "dac"] = "nacre"
    sample_rate: int = 16_000
    channels: int = 1
    hop_length: int = 320
    latent_dim: int = 96
    quantizer: QuantizerConfig = field(default_factory=QuantizerConfig)
    # No default: with one, jsonargparse would read every family's settings as that one's.
    network: NacreConfig | SeanetConfig | DacConfig

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: A value is out of range.
        """
        check(0 < len(self.name.encode()) <= 64, "name", self.name, "1 to 64 bytes long")
        check(self.family in NETWORK_CONFIGS, "family", self.family, f"one of {', '.join(NETWORK_CONFIGS)}")
        wanted = NETWORK_CONFIGS[self.family]
        check(isinstance(self.network, wanted), "network", type(self.network).__name__, f"a {wanted.__name__}")
        check(1_000 <= self.sample_rate <= 384_000, "sample_rate", self.sample_rate, "from 1000 to 384000 Hz")
        check(self.channels in (1, 2), "channels", self.channels, "1 or 2")
        check(1 <= self.hop_length <= 65535, "hop_length", self.hop_length, "from 1 to 65535")
        self.network.check_hop(self.hop_length)
        if isinstance(self.network, NacreConfig):
            levels = self.channels * self.network.level_bands
            check(self.latent_dim > levels, "latent_dim", self.latent_dim, f"above channels * level_bands = {levels}")

    @property
    def frame_rate(self) -> float:
        """Frames per second; for display only, lengths are integer arithmetic on `hop_length`."""
        return self.sample_rate / self.hop_length

    @property
    def latency_samples(self) -> int | None:
        """Algorithmic latency: from the first sample of a hop going in until it can come out; None if unbounded."""
        return self.network.latency_samples(self.hop_length)

    @property
    def latency_ms(self) -> float | None:
        """Algorithmic latency in milliseconds; the time to compute comes on top."""
        samples = self.latency_samples
        return None if samples is None else 1000 * samples / self.sample_rate

    @property
    def segments(self) -> Segmentation | None:
        """The segments in which audio is coded (codec/segments.py); None if it is coded whole."""
        return self.network.segments if isinstance(self.network, SeanetConfig) else None

    @property
    def can_denoise(self) -> bool:
        """Whether the encoder can be asked to leave noise out; the decoder needs nothing for it."""
        return isinstance(self.network, SeanetConfig) and self.network.denoising

    def num_frames(self, num_samples: int) -> int:
        """Return L for T samples: `ceil(num_samples / hop_length)`, of codes in segments the sum over them."""
        if self.segments is not None:
            return self.segments.num_frames(num_samples, self.hop_length)
        return -(-num_samples // self.hop_length)

    def bitrate_kbps(self, num_quantizers: int) -> float:
        """Return the nominal bitrate of `num_quantizers` stages."""
        bits = num_quantizers * math.log2(self.quantizer.codebook_size)
        return bits * self.sample_rate / self.hop_length / 1000

    @property
    def bitrates_kbps(self) -> tuple[float, ...]:
        """Every nominal bitrate the codec has, lowest first."""
        return tuple(self.bitrate_kbps(k) for k in range(1, self.quantizer.num_quantizers + 1))

    def resolve_num_quantizers(self, num_quantizers: int | None = None, bitrate_kbps: float | None = None) -> int:
        """Turn a caller's choice into a number of stages; neither given means all of them.

        Raises:
            BitrateError: Both were given, or the codec has no such number or bitrate.
        """
        if num_quantizers is not None and bitrate_kbps is not None:
            raise BitrateError("give num_quantizers or bitrate_kbps, not both")
        most = self.quantizer.num_quantizers
        if num_quantizers is not None:
            if not 1 <= num_quantizers <= most:
                raise BitrateError(f"num_quantizers={num_quantizers} is out of range: '{self.name}' has 1 to {most}")
            return num_quantizers
        if bitrate_kbps is None:
            return most
        for k, rate in enumerate(self.bitrates_kbps, start=1):
            if math.isclose(rate, bitrate_kbps, rel_tol=1e-3):
                return k
        known = ", ".join(f"{rate:g}" for rate in self.bitrates_kbps)
        raise BitrateError(f"'{self.name}' has no bitrate of {bitrate_kbps:g} kbps; choose one of {known}")

    def check_denoising(self) -> None:
        """Check that the codec can denoise.

        Raises:
            CapabilityError: It was not built to.
        """
        if not self.can_denoise:
            raise CapabilityError(f"'{self.name}' can't denoise: use a codec whose network.denoising is true")

    def to_json(self) -> str:
        """Return canonical JSON: sorted keys, two spaces, a final newline."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> CodecConfig:
        """Parse what `to_json` wrote.

        Raises:
            PackageError: Not JSON, or a key is unknown, missing, of the wrong type or out of range.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise PackageError(f"not a codec configuration: {error}") from None
        return cls.from_mapping(data)

    @classmethod
    def from_mapping(cls, data: Any, where: str = "codec.json") -> CodecConfig:
        """Build from what JSON or YAML was parsed to; `where` names it in messages.

        Raises:
            PackageError: A key is unknown, missing, of the wrong type or out of range.
        """
        try:
            config: CodecConfig = _build(cls, data, where)
        except (ValueError, TypeError) as error:
            raise PackageError(f"not a codec configuration: {error}") from None
        return config


def _build(cls: type[Any], data: Any, where: str) -> Any:
    """Build dataclass `cls` from parsed JSON; every field must be there, no other may."""
    if not isinstance(data, dict):
        raise TypeError(f"{where} must be an object")
    hints = get_type_hints(cls)
    if unknown := sorted(set(data) - set(hints)):
        raise ValueError(f"{where} has unknown keys: {', '.join(unknown)}")
    if missing := sorted(set(hints) - set(data)):
        raise ValueError(f"{where} lacks the keys: {', '.join(missing)}")
    if cls is CodecConfig:
        hints["network"] = NETWORK_CONFIGS.get(data["family"], NacreConfig)
    return cls(**{name: _value(hint, data[name], f"{where}: {name}") for name, hint in hints.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where)  # type: ignore[arg-type]  # is_dataclass narrows to instances too
    if get_origin(hint) is UnionType:
        return None if value is None else _value(get_args(hint)[0], value, where)
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise TypeError(f"{where} is {value!r}, not a list")
        return tuple(_value(get_args(hint)[0], item, where) for item in value)
    wanted = {int: (int,), float: (int, float), bool: (bool,)}.get(hint, (str,))
    if isinstance(value, bool) != (hint is bool) or not isinstance(value, wanted):
        raise TypeError(f"{where} is {value!r}, not {getattr(hint, '__name__', 'text')}")
    return float(value) if hint is float else value
