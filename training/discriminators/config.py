"""The settings of each discriminator; a run uses any of them together (`DiscriminatorConfig`)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise

from codec.checks import check


@dataclass(frozen=True, kw_only=True)
class SmallConfig:
    """Ours, of log magnitude and companded spectra (training/discriminators/small.py).

    Attributes:
        windows: STFT window lengths, one resolution each.
        width: Channels of its convolutions.
    """

    windows: tuple[int, ...] = (1024, 512, 256)
    width: int = 32

    def __post_init__(self) -> None:
        """Check that nothing is empty or negative."""
        check_sizes(self)


@dataclass(frozen=True, kw_only=True)
class STFTConfig:
    """EnCodec's, of complex spectra (training/discriminators/stft.py).

    Attributes:
        windows: STFT window lengths, one resolution each.
        width: Channels of its convolutions.
    """

    windows: tuple[int, ...] = (2048, 1024, 512, 256, 128)
    width: int = 32

    def __post_init__(self) -> None:
        """Check that nothing is empty or negative."""
        check_sizes(self)


@dataclass(frozen=True, kw_only=True)
class PeriodConfig:
    """HiFi-GAN's and DAC's, of every P-th sample (training/discriminators/period.py).

    Attributes:
        periods: Numbers of samples, one discriminator each.
        width: Channels of the first convolution; the last ones have 32 times as many.
    """

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    width: int = 32

    def __post_init__(self) -> None:
        """Check that nothing is empty or negative."""
        check_sizes(self)


@dataclass(frozen=True, kw_only=True)
class BandConfig:
    """DAC's, of bands of complex spectra (training/discriminators/bands.py).

    Attributes:
        windows: STFT window lengths, one resolution each.
        edges: Where bands begin and end, as shares of the spectrum from 0 to 1.
        width: Channels of its convolutions.
    """

    windows: tuple[int, ...] = (2048, 1024, 512)
    edges: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
    width: int = 32

    def __post_init__(self) -> None:
        """Check that nothing is empty or negative, and that bands follow each other.

        Raises:
            ValueError: An edge is out of order.
        """
        check_sizes(self)
        rising = all(low < high for low, high in pairwise(self.edges))
        inside = len(self.edges) > 1 and self.edges[0] >= 0 and self.edges[-1] <= 1
        check(rising and inside, "edges", self.edges, "two or more rising shares from 0 to 1")
        bins = min(self.windows) // 2 + 1
        wide = all(int(low * bins) < int(high * bins) for low, high in pairwise(self.edges))
        check(wide, "edges", self.edges, f"at least one of {bins} frequency bins apart")


@dataclass(frozen=True, kw_only=True)
class WaveConfig:
    """SoundStream's and MelGAN's, of the waveform at several rates (training/discriminators/wave.py).

    Attributes:
        rates: By how much the audio is downsampled, one discriminator each.
        width: Channels of the first convolution; the last ones have 64 times as many.
    """

    rates: tuple[int, ...] = (1, 2, 4)
    width: int = 16

    def __post_init__(self) -> None:
        """Check that nothing is empty or negative."""
        check_sizes(self)


@dataclass(frozen=True, kw_only=True)
class ResidualConfig:
    """SoundStream's, of one complex spectrum through residual units (training/discriminators/residual.py).

    Attributes:
        window: STFT window length, a multiple of 128.
        width: Channels of the first convolution; the last ones have eight times as many.
    """

    window: int = 1024
    width: int = 32

    def __post_init__(self) -> None:
        """Check that nothing is empty or negative, and that the spectrum can be halved six times.

        Raises:
            ValueError: It can't.
        """
        check_sizes(self)
        check(self.window % 128 == 0, "window", self.window, "a multiple of 128")


def check_sizes(config: object) -> None:
    """Check that every integer of a dataclass is positive, and that no list of them is empty.

    Raises:
        ValueError: One isn't.
    """
    for field in fields(config):  # type: ignore[arg-type]  # each of the dataclasses above
        value = getattr(config, field.name)
        many = value if isinstance(value, tuple) else (value,)
        positive = all(entry > 0 for entry in many if isinstance(entry, int))
        check(bool(many) and positive, field.name, value, "of positive numbers, one at least")
