"""What listeners of a MUSHRA test rated: screened, and made into means, intervals and comparisons.

Source: ITU-R BS.1534-3, post-screening of assessors: a listener is excluded who rates the hidden reference below 90 in
more than 15% of the trials, or the anchor at 7 kHz above 90 in more than 15% of them; a trial in which more than a
quarter of the listeners rate that anchor above 90 counts against nobody. Deviations: beside the medians and quartiles
that it asks for, intervals are bootstrapped and comparisons are Wilcoxon's, adjusted by Holm, instead of an ANOVA, as
ratings are not taken to be normal (statistics.py).

Listeners are what is sampled. A listener's ratings of a system are averaged over trials before anything is inferred, so
that many trials don't pass for many listeners: intervals and p-values say how far other listeners could have moved
them, nothing about other clips. With fewer than six listeners no comparison can reach p < 0.05.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codec.errors import DataError
from codec.files import write_bytes
from training.evaluation.listening.mushra import LOW_ANCHOR, MID_ANCHOR, REFERENCE, Key
from training.evaluation.listening.results import Listener
from training.evaluation.statistics import PairedComparison, compare_paired, estimate_mean, holm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Above (below) it a rating says: no difference heard.
SAME_RATING = 90
MISSED_SHARE = 0.15
UNFIT_SHARE = 0.25
COLOURS = {REFERENCE: "#2e8b57", LOW_ANCHOR: "#8a8f98", MID_ANCHOR: "#8a8f98"}
SYSTEM_COLOUR = "#2f6fbf"


@dataclass(frozen=True, kw_only=True)
class Excluded:
    """A listener whom post-screening left out, and why."""

    listener: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SystemRating:
    """All ratings of a system: `low` and `high` are the ends of the mean's interval, NaN with a single listener."""

    system: str
    mean: float
    low: float
    high: float
    minimum: float
    lower_quartile: float
    median: float
    upper_quartile: float
    maximum: float
    num_listeners: int
    num_ratings: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """First minus second, over the trials that have both; `adjusted_p` is Holm's, within all comparisons here."""

    first: str
    second: str
    difference: float
    low: float
    high: float
    p_value: float
    adjusted_p: float
    num_listeners: int


@dataclass(frozen=True, kw_only=True)
class MushraAnalysis:
    """Systems, best first, and each pair of them and the hidden reference; `confidence` is that of every interval."""

    test: str
    num_trials: int
    num_listeners: int
    excluded: tuple[Excluded, ...]
    systems: tuple[SystemRating, ...]
    comparisons: tuple[Comparison, ...]
    confidence: float

    def to_json(self) -> str:
        """Return canonical JSON: sorted keys, two spaces, a final newline; what is undefined is null."""
        return json.dumps(_defined(asdict(self)), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def screen(listeners: Sequence[Listener]) -> tuple[tuple[Listener, ...], tuple[Excluded, ...]]:
    """Return the listeners who pass post-screening, and those who don't, with why."""
    unfit = _unfit_trials(listeners)
    kept, excluded = [], []
    for listener in listeners:
        if reason := _reason(listener, unfit):
            excluded.append(Excluded(listener=listener.name, reason=reason))
        else:
            kept.append(listener)
    return tuple(kept), tuple(excluded)


def analyze(listeners: Sequence[Listener], key: Key, *, post_screening: bool = True, seed: int = 0) -> MushraAnalysis:
    """Screen the listeners, and say how each system was rated and which differ.

    Raises:
        DataError: Post-screening leaves nobody.
    """
    kept, excluded = screen(listeners) if post_screening else (tuple(listeners), ())
    if not kept:
        who = "; ".join(f"{each.listener} {each.reason}" for each in excluded[:3])
        raise DataError(f"post-screening excludes all {len(listeners)} listeners ({who}): nothing is left to analyze")
    names = list(dict.fromkeys(system for trial in key.trials for system in trial.signals.values()))
    systems = sorted((_rating(name, kept, seed) for name in names), key=lambda one: (-one.mean, one.system))
    compared = [one.system for one in systems if one.system not in (LOW_ANCHOR, MID_ANCHOR)]
    return MushraAnalysis(
        test=key.test,
        num_trials=len(key.trials),
        num_listeners=len(kept),
        excluded=excluded,
        systems=tuple(systems),
        comparisons=_comparisons(compared, kept, seed),
        confidence=0.95,
    )


def draw_ratings(path: Path, analysis: MushraAnalysis) -> None:
    """Draw each system's ratings to a PNG: quartiles and range as a box, and the mean with its interval."""
    from matplotlib.figure import Figure  # slow to import

    count = len(analysis.systems)
    figure = Figure(figsize=(max(5.0, 1.1 * count + 1.5), 5.0), layout="constrained")
    _draw(figure.add_subplot(), analysis)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    write_bytes(path, file.getvalue())


def _unfit_trials(listeners: Sequence[Listener]) -> set[str]:
    """Return the trials whose anchor at 7 kHz sounds like the reference to more than a quarter of the listeners."""
    fooled = [trial for one in listeners for trial, by in one.ratings.items() if by[MID_ANCHOR] > SAME_RATING]
    return {trial for trial in fooled if fooled.count(trial) > UNFIT_SHARE * len(listeners)}


def _reason(listener: Listener, unfit: set[str]) -> str:
    """Return why a listener is excluded, or nothing."""
    missed = sum(by[REFERENCE] < SAME_RATING for by in listener.ratings.values())
    if missed > MISSED_SHARE * len(listener.ratings):
        return f"rated the hidden reference below {SAME_RATING} in {missed} of {len(listener.ratings)} trials"
    judged = [by[MID_ANCHOR] for trial, by in listener.ratings.items() if trial not in unfit]
    fooled = sum(rating > SAME_RATING for rating in judged)
    if fooled > MISSED_SHARE * len(judged):
        return f"rated the anchor at 7 kHz above {SAME_RATING} in {fooled} of {len(judged)} trials"
    return ""


def _rating(system: str, listeners: Sequence[Listener], seed: int) -> SystemRating:
    by_listener = [[by[system] for by in one.ratings.values() if system in by] for one in listeners]
    ratings = np.array([rating for each in by_listener for rating in each])
    estimate = estimate_mean([float(np.mean(each)) for each in by_listener], seed=seed)
    minimum, lower, median, upper, maximum = (float(x) for x in np.quantile(ratings, (0, 0.25, 0.5, 0.75, 1)))
    return SystemRating(
        system=system,
        mean=estimate.mean,
        low=estimate.low,
        high=estimate.high,
        minimum=minimum,
        lower_quartile=lower,
        median=median,
        upper_quartile=upper,
        maximum=maximum,
        num_listeners=len(listeners),
        num_ratings=len(ratings),
    )


def _comparisons(systems: Sequence[str], listeners: Sequence[Listener], seed: int) -> tuple[Comparison, ...]:
    found: list[tuple[str, str, PairedComparison]] = []
    for first, second in combinations(systems, 2):
        means = [_means(first, second, one) for one in listeners]
        pairs = [pair for pair in means if pair is not None]
        if pairs:
            left, right = zip(*pairs, strict=True)
            found.append((first, second, compare_paired(left, right, seed=seed)))
    adjusted = holm([paired.p_value for _, _, paired in found])
    return tuple(
        Comparison(
            first=first,
            second=second,
            difference=paired.difference.mean,
            low=paired.difference.low,
            high=paired.difference.high,
            p_value=paired.p_value,
            adjusted_p=adjusted_p,
            num_listeners=paired.difference.count,
        )
        for (first, second, paired), adjusted_p in zip(found, adjusted, strict=True)
    )


def _means(first: str, second: str, listener: Listener) -> tuple[float, float] | None:
    """Return a listener's means of two systems over the trials that have both."""
    pairs = [(by[first], by[second]) for by in listener.ratings.values() if first in by and second in by]
    if not pairs:
        return None
    left, right = zip(*pairs, strict=True)
    return float(np.mean(left)), float(np.mean(right))


def _defined(value: Any) -> Any:
    """Return the value with None for NaN, which JSON doesn't have."""
    if isinstance(value, dict):
        return {name: _defined(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_defined(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _draw(axes: Axes, analysis: MushraAnalysis) -> None:
    for number, one in enumerate(analysis.systems):
        colour = COLOURS.get(one.system, SYSTEM_COLOUR)
        box = {
            "whislo": one.minimum,
            "q1": one.lower_quartile,
            "med": one.median,
            "q3": one.upper_quartile,
            "whishi": one.maximum,
        }
        drawn = axes.bxp([box], positions=[number], widths=0.5, showfliers=False, patch_artist=True)
        drawn["boxes"][0].set(facecolor=colour, alpha=0.3, edgecolor=colour)
        drawn["medians"][0].set(color=colour, linewidth=2)
        for line in (*drawn["whiskers"], *drawn["caps"]):
            line.set(color=colour)
        ends = [[one.mean - one.low], [one.high - one.mean]]
        bars = None if math.isnan(one.low) else np.maximum(ends, 0)
        axes.errorbar([number], [one.mean], yerr=bars, fmt="o", color="black", markersize=4, capsize=4)
    labels = [one.system if len(one.system) <= 24 else f"{one.system[:23]}…" for one in analysis.systems]
    axes.set_xticks(range(len(labels)), [label.replace("$", r"\$") for label in labels], rotation=30, ha="right")
    axes.set_ylim(-2, 102)
    axes.set_yticks(range(0, 101, 20))
    for place, word in enumerate(("bad", "poor", "fair", "good", "excellent")):
        axes.text(1.01, 0.02 + (place + 0.5) * 0.192, word, transform=axes.transAxes, va="center", color="#6b7280")
    axes.grid(axis="y", alpha=0.3)
    axes.set_ylabel("rating")
    people = f"{analysis.num_listeners} listener{'s' * (analysis.num_listeners != 1)}"
    clips = f"{analysis.num_trials} trial{'s' * (analysis.num_trials != 1)}"
    axes.set_title(
        f"MUSHRA: {people}, {clips}\nbox: quartiles and range; dot: mean and 95% interval", fontsize="medium"
    )
