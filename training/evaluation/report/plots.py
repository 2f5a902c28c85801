"""Pictures of a report as PNG: rate-distortion curves to show elsewhere, and spectrograms of the worst clips."""

from __future__ import annotations

import io
import math
import warnings
from typing import TYPE_CHECKING

import numpy as np

from codec.audio import Audio
from training.evaluation.metric_table import MetricInfo, metric_info
from training.evaluation.report.summary import Point, Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_INCHES = (6.4, 4.2)
# The anchor's ink, then hues that stay apart for the colour-blind; the page's style sheet has the same.
ANCHOR_COLOUR = "#52514e"
COLOURS = ("#2a78d6", "#eb6834", "#1baf7a", "#4a3aa7", "#eda100", "#e34948", "#008300", "#e87ba4")
RATE_TICKS = (0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
SPECTROGRAM_INCHES = (5.2, 1.9)
WINDOW = 1024
FLOOR_DB, CEILING_DB = -100.0, 0.0


def panels(summary: Summary, metric: str) -> list[str]:
    """Return the kinds of clips that `metric` has curves for, or none."""
    return [kind for kind in summary.kinds if _with_values(summary.lossy(kind=kind), metric)]


def has_value(estimate: object) -> bool:
    """Tell whether an estimate is there and has a mean."""
    return estimate is not None and math.isfinite(getattr(estimate, "mean", math.nan))


def curves_png(summary: Summary, metric: str) -> bytes:
    """Return a PNG of the rate-distortion curves of `metric`, a panel for each kind of clips."""
    from matplotlib.figure import Figure

    kinds = panels(summary, metric)
    figure = Figure(figsize=(PANEL_INCHES[0] * len(kinds), PANEL_INCHES[1]), layout="constrained")
    for number, kind in enumerate(kinds):
        axes = figure.add_subplot(1, len(kinds), number + 1)
        _draw_panel(axes, summary, metric_info(metric), kind)
        axes.legend(fontsize="x-small", frameon=False)
    return _png(figure)


def _draw_panel(axes: Axes, summary: Summary, info: MetricInfo, kind: str) -> None:
    rates: list[float] = []
    for number, codec in enumerate(summary.codecs):
        points = _with_values(summary.lossy(codec, kind), info.name)
        if not points:
            continue
        kbps = [point.whole.measured_kbps for point in points]
        found = [point.whole.metrics[info.name] for point in points]
        bars = [[_finite(e.mean - e.low) for e in found], [_finite(e.high - e.mean) for e in found]]
        _, colour, dash = codec_style(summary, number)
        axes.errorbar(
            kbps,
            [e.mean for e in found],
            yerr=bars,
            color=colour,
            linestyle=dash,
            linewidth=2 if codec in summary.ours else 1.3,
            marker="o",
            markersize=4,
            elinewidth=1,
            label=_plain(codec),
        )
        rates += kbps
    _rate_axis(axes, rates)
    axes.set_title(f"{info.label}, {_plain(kind)} ({info.direction})", fontsize="medium")
    axes.set_ylabel(_plain(info.title), fontsize="small")
    axes.grid(alpha=0.3)


def codec_style(summary: Summary, number: int) -> tuple[str, str, str]:
    """Return a codec's class in the style sheet, its colour and its dash: the anchor's, or the next hue."""
    if summary.codecs[number] == summary.anchor:
        return "s0", ANCHOR_COLOUR, "-"
    before = number - (summary.anchor in summary.codecs[:number])
    hue, again = before % len(COLOURS), before >= len(COLOURS)
    return f"s{hue + 1}" + (" again" if again else ""), COLOURS[hue], "--" if again else "-"


def _with_values(points: list[Point], metric: str) -> list[Point]:
    """Return the points that have a mean of a metric, by measured bitrate."""
    found = [point for point in points if has_value(point.whole.metrics.get(metric))]
    return sorted(found, key=lambda point: point.whole.measured_kbps)


def _rate_axis(axes: Axes, rates: list[float]) -> None:
    from matplotlib.ticker import NullLocator

    low, high = min(rates) / 1.15, max(rates) * 1.15
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = [rate for rate in RATE_TICKS if low <= rate <= high]
    if len(ticks) > 1:
        axes.set_xticks(ticks, labels=[f"{rate:g}" for rate in ticks], fontsize="small")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("measured kbps (log scale)", fontsize="small")


def spectrogram_png(audio: Audio) -> bytes:
    """Return a spectrogram PNG of the mean of the channels, its text readable on light and dark."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=SPECTROGRAM_INCHES, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    extent = (0.0, audio.seconds, 0.0, audio.sample_rate / 2000)
    axes.imshow(
        _decibels(audio), origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=FLOOR_DB, vmax=CEILING_DB
    )
    axes.set_xlabel("seconds", fontsize="small", color="#898781")
    axes.set_ylabel("kHz", fontsize="small", color="#898781")
    axes.tick_params(colors="#898781", labelsize="small")
    for spine in axes.spines.values():
        spine.set_visible(False)
    return _png(figure)


def _decibels(audio: Audio) -> np.ndarray:
    """Return the spectrogram [bins, frames] in dB below a full-scale sine."""
    mono = audio.samples.mean(0).astype(np.float64)
    mono = np.pad(mono, (0, max(0, WINDOW - len(mono))))
    hop = max(WINDOW // 4, len(mono) // 700)
    frames = np.lib.stride_tricks.sliding_window_view(mono, WINDOW)[::hop] * np.hanning(WINDOW)
    magnitudes = np.abs(np.fft.rfft(frames)).T * 4 / WINDOW
    decibels: np.ndarray = 20 * np.log10(np.maximum(magnitudes, 1e-6))
    return decibels


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # names in scripts that its font lacks
        figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
    return file.getvalue()


def _finite(value: float) -> float:
    return max(value, 0.0) if math.isfinite(value) else 0.0


def _plain(text: str) -> str:
    """Return text that matplotlib neither reads as a formula nor hides from a legend."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")
