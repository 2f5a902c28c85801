"""What each metric of an evaluation means: its unit, which way is better, its range, its source, what it is bad at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower", "none"]


@dataclass(frozen=True, kw_only=True)
class MetricInfo:
    """A metric, as a report explains it. `better` is "none" for one that informs and doesn't judge.

    `low` and `high` are the ends of its range, None where it has none. `bad_at` is one sentence.
    """

    name: str
    label: str
    unit: str = ""
    better: Better
    low: float | None = None
    high: float | None = None
    digits: int = 2
    source: str = ""
    bad_at: str = ""

    @property
    def direction(self) -> str:
        """Return the direction in words."""
        return {"higher": "higher is better", "lower": "lower is better", "none": "neither way is better"}[self.better]

    @property
    def range(self) -> str:
        """Return the range in words."""
        if self.low is None and self.high is None:
            return "unbounded"
        if self.high is None:
            return f"from {self.low:g} up"
        return f"up to {self.high:g}" if self.low is None else f"{self.low:g} to {self.high:g}"

    @property
    def title(self) -> str:
        """Return the label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def format(self, value: float) -> str:
        """Return a value as a report prints it."""
        return f"{value:.{self.digits}f}".replace("-", "\N{MINUS SIGN}")


_METRICS = (
    MetricInfo(
        name="pesq",
        label="PESQ",
        unit="MOS-LQO",
        better="higher",
        low=1.04,
        high=4.64,
        source="ITU-T P.862.2, wide-band, by pesq",
        bad_at="Music, anything above 8 kHz, and neural codecs that resynthesise, which it underrates.",
    ),
    MetricInfo(
        name="visqol_speech",
        label="ViSQOL speech",
        unit="MOS-LQO",
        better="higher",
        low=1,
        high=5,
        source="Chinen et al. 2020 (arXiv 2004.09584), speech mode at 16 kHz with the lattice, by visqol-python",
        bad_at="Music, anything above 8 kHz, and stereo, of which it knows nothing.",
    ),
    MetricInfo(
        name="visqol_audio",
        label="ViSQOL audio",
        unit="MOS-LQO",
        better="higher",
        low=1,
        high=4.73,
        source="Chinen et al. 2020 (arXiv 2004.09584), audio mode at 48 kHz, by visqol-python",
        bad_at="Telling good codecs apart, as it saturates near its top, and stereo, of which it knows nothing.",
    ),
    MetricInfo(
        name="visqol",
        label="ViSQOL",
        unit="MOS-LQO",
        better="higher",
        low=1,
        high=5,
        source="Chinen et al. 2020 (arXiv 2004.09584), by visqol-python: speech mode up to 16 kHz, audio mode above",
        bad_at="Comparing clips of different rates, as its two modes have two scales, and stereo, of which it knows "
        "nothing.",
    ),
    MetricInfo(
        name="distillmos",
        label="DistillMOS",
        unit="MOS",
        better="higher",
        low=1,
        high=5,
        source="Distill-MOS (Stahl and Gamper, ICASSP 2025), no reference, at 16 kHz, by distillmos",
        bad_at="Fidelity: it never hears the original, so clean speech of another voice or other words scores high.",
    ),
    MetricInfo(
        name="stoi",
        label="STOI",
        better="higher",
        low=0,
        high=1,
        digits=3,
        source="Taal et al. 2011, by pystoi",
        bad_at="Music, and timbre, which it ignores.",
    ),
    MetricInfo(
        name="mel_distance",
        label="Mel distance",
        better="lower",
        low=0,
        source="DAC (arXiv 2306.06546), log10 magnitudes at windows of 32 to 2048 samples with 5 to 320 bands, summed",
        bad_at="Phase, and weighing: a band lost to a low-pass counts for more than it sounds.",
    ),
    MetricInfo(
        name="log_spectral_distance_db",
        label="Log-spectral distance",
        unit="dB",
        better="lower",
        low=0,
        digits=1,
        source="Gray and Markel 1976, root mean square over bins of 2048-sample frames, mean over frames",
        bad_at="Weighing: inaudible bins near silence count as much as loud ones.",
    ),
    MetricInfo(
        name="si_sdr_db",
        label="SI-SDR",
        unit="dB",
        better="higher",
        digits=1,
        source="Le Roux et al. 2019 (arXiv 1811.02508)",
        bad_at="Judging codecs that resynthesise: a shift of one sample ruins it, while ears don't notice.",
    ),
    MetricInfo(
        name="bandwidth_khz",
        label="Bandwidth",
        unit="kHz",
        better="none",
        low=0,
        digits=1,
        source="Ours: up to where the reconstruction's long-term spectrum stays within 20 dB of the original's",
        bad_at="Judging: what fills the band may be noise, and a narrow band may be all that the original has.",
    ),
)
METRIC_TABLE: dict[str, MetricInfo] = {info.name: info for info in _METRICS}


def metric_info(name: str) -> MetricInfo:
    """Return what is known of a metric; of an unknown one only its name, and no direction."""
    return METRIC_TABLE.get(name) or MetricInfo(
        name=name, label=name, better="none", bad_at="What nobody has written down: it is not in the table of metrics."
    )


def in_order(names: set[str]) -> list[str]:
    """Return metrics in the order of the table, unknown ones last."""
    known = list(METRIC_TABLE)
    return sorted(names, key=lambda name: (known.index(name) if name in METRIC_TABLE else len(known), name))
