"""What a report says in numbers: every operating point, paired tests between neighbours in rate, and rate savings.

All is by kind of clips: metrics of speech and of music are taken at other rates or in other modes, so a mean over both
would be of neither. An operating point's bitrate is all its bytes over all its seconds, and its speed all its seconds
over all its work. A clip for which a metric was never asked doesn't count; one for which it has no value is undefined.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from codec.errors import DataError
from training.evaluation.metric_table import in_order, metric_info
from training.evaluation.rate_saving import RateSaving, rate_saving
from training.evaluation.scores import Score
from training.evaluation.statistics import (
    Estimate,
    PairedComparison,
    by_bitrate,
    compare_points,
    estimate_mean,
    holm,
    values_by_clip,
)

LEVEL = 0.05
# Two operating points whose measured bitrates differ by more than this factor are compared only with the anchor.
COMPARABLE = 1.35


@dataclass(frozen=True, kw_only=True)
class Group:
    """One operating point over some clips; the real-time factors are None where no work was measured."""

    clips: int
    seconds: float
    measured_kbps: float
    encode_realtime: float | None
    decode_realtime: float | None
    metrics: dict[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One operating point over the clips of one kind, and by language of speech; its `scores` by name of clip."""

    name: str
    codec: str
    bitrate_kbps: float | None
    kind: str
    scores: tuple[Score, ...]
    whole: Group
    languages: dict[str, Group]


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """Two operating points of a kind compared by one metric; `p_holm` is corrected for all tests of the report."""

    metric: str
    first: Point
    second: Point
    comparison: PairedComparison
    p_holm: float

    @property
    def significant(self) -> bool:
        """Tell whether the difference is significant at `LEVEL`."""
        return self.p_holm < LEVEL


@dataclass(frozen=True, kw_only=True)
class Saving:
    """The BD-rate of a codec against the anchor, over the clips of one kind."""

    codec: str
    metric: str
    kind: str
    saving: RateSaving


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All that a report says in numbers. `codecs` in the order of points: ours, the anchor, others, then lossless."""

    anchor: str
    ours: tuple[str, ...]
    codecs: tuple[str, ...]
    metrics: tuple[str, ...]
    kinds: tuple[str, ...]
    points: tuple[Point, ...]
    tests: tuple[PairedTest, ...]
    savings: tuple[Saving, ...]

    def lossy(self, codec: str | None = None, kind: str | None = None) -> list[Point]:
        """Return the points that have a nominal bitrate and bytes, of one codec and kind or of all."""
        found = [point for point in self.points if codec in (None, point.codec) and kind in (None, point.kind)]
        return [point for point in found if point.bitrate_kbps is not None and point.whole.measured_kbps > 0]

    def metrics_of(self, kind: str) -> list[str]:
        """Return the metrics that clips of a kind were measured by."""
        return [name for name in self.metrics if any(name in p.whole.metrics for p in self.points if p.kind == kind)]

    def nearest(self, point: Point, codec: str) -> Point | None:
        """Return the point of `codec` whose bitrate on the same kind is nearest to that of `point`, on a log scale."""
        others = [other for other in self.lossy(codec, point.kind) if other is not point]
        return min(others, key=lambda other: abs(math.log(_rate_ratio(other, point))), default=None)


def summarize(scores: Sequence[Score], anchor: str, ours: Sequence[str] | None = None) -> Summary:
    """Summarize scores; `ours` are the codecs looked at closely, by default all of the registry ('speech:3').

    Raises:
        DataError: There are no scores, or a clip is scored twice at an operating point.
    """
    if not scores:
        raise DataError("there are no scores to report: evaluate at least one clip with at least one codec")
    mine = tuple(ours) if ours is not None else _ours(scores, anchor)
    codecs = sorted({score.codec for score in scores}, key=lambda codec: _codec_rank(codec, scores, anchor, mine))
    points = [
        point
        for codec in codecs
        for group in by_bitrate([score for score in scores if score.codec == codec]).values()
        for point in _points(group)
    ]
    names = {name for score in scores for name in (*score.metrics, *score.undefined)}
    kinds = tuple(sorted({score.clip.kind for score in scores}))
    bare = Summary(
        anchor=anchor,
        ours=tuple(codec for codec in codecs if codec in mine),
        codecs=tuple(codecs),
        metrics=tuple(in_order(names)),
        kinds=kinds,
        points=tuple(points),
        tests=(),
        savings=(),
    )
    return Summary(**vars(bare) | {"tests": _tests(bare), "savings": _savings(bare)})


def judging(metrics: Sequence[str]) -> list[str]:
    """Return the metrics that say which way is better."""
    return [name for name in metrics if metric_info(name).better != "none"]


def value_of(score: Score, metric: str) -> float:
    """Return a score's metric, NaN where it has no finite value."""
    value = score.metrics.get(metric, math.nan)
    return value if math.isfinite(value) else math.nan


def _ours(scores: Sequence[Score], anchor: str) -> tuple[str, ...]:
    """Return the codecs of the registry; without any, all lossy ones but the anchor, or what there is."""
    lossy = sorted({score.codec for score in scores if score.bitrate_kbps is not None})
    registered = tuple(codec for codec in lossy if ":" in codec)
    return registered or tuple(codec for codec in lossy if codec != anchor)


def _codec_rank(codec: str, scores: Sequence[Score], anchor: str, ours: Sequence[str]) -> tuple[int, str]:
    if codec in ours:
        return 0, codec
    if codec == anchor:
        return 1, codec
    return (2 if any(s.bitrate_kbps is not None for s in scores if s.codec == codec) else 3), codec


def _points(scores: Sequence[Score]) -> list[Point]:
    """Summarize one operating point, by kind of clips."""
    values_by_clip(scores, "")  # refuses a clip that is there twice
    ordered = sorted(scores, key=lambda score: (score.clip.name, score.clip.seconds))
    kinds = sorted({score.clip.kind for score in scores})
    return [_point([score for score in ordered if score.clip.kind == kind]) for kind in kinds]


def _point(ordered: Sequence[Score]) -> Point:
    first = ordered[0]
    languages = sorted({score.clip.language for score in ordered} - {""})
    return Point(
        name=first.point,
        codec=first.codec,
        bitrate_kbps=first.bitrate_kbps,
        kind=first.clip.kind,
        scores=tuple(ordered),
        whole=_group(ordered),
        languages={code: _group([score for score in ordered if score.clip.language == code]) for code in languages},
    )


def _group(scores: Sequence[Score]) -> Group:
    seconds = sum(score.clip.seconds for score in scores)
    names = in_order({name for score in scores for name in (*score.metrics, *score.undefined)})
    return Group(
        clips=len(scores),
        seconds=seconds,
        measured_kbps=sum(score.num_bytes for score in scores) * 8 / seconds / 1000,
        encode_realtime=_speed(scores, [score.encode_realtime for score in scores]),
        decode_realtime=_speed(scores, [score.decode_realtime for score in scores]),
        metrics={
            name: estimate_mean([value_of(s, name) for s in scores if name in s.metrics or name in s.undefined])
            for name in names
        },
    )


def _speed(scores: Sequence[Score], factors: Sequence[float]) -> float | None:
    """Return all seconds over all work, None where a factor is no measurement."""
    if not all(0 < factor < math.inf for factor in factors):
        return None
    work = sum(score.clip.seconds / factor for score, factor in zip(scores, factors, strict=True))
    return sum(score.clip.seconds for score in scores) / work


def _rate_ratio(one: Point, other: Point) -> float:
    return one.whole.measured_kbps / other.whole.measured_kbps


def _tests(summary: Summary) -> tuple[PairedTest, ...]:
    """Compare each of our points with the anchor nearest in rate, and with other codecs of a comparable rate."""
    found: list[tuple[str, Point, Point, PairedComparison]] = []
    for first, second in _pairs(summary):
        for metric in judging(summary.metrics):
            try:
                comparison = compare_points(first.scores, second.scores, metric)
            except DataError:  # no clip in common
                continue
            if comparison.difference.count:
                found.append((metric, first, second, comparison))
    corrected = holm([comparison.p_value for *_, comparison in found])
    return tuple(
        PairedTest(metric=metric, first=first, second=second, comparison=comparison, p_holm=p)
        for (metric, first, second, comparison), p in zip(found, corrected, strict=True)
    )


def _pairs(summary: Summary) -> list[tuple[Point, Point]]:
    pairs: dict[frozenset[int], tuple[Point, Point]] = {}
    for codec in summary.ours:
        for first in summary.lossy(codec):
            for other in summary.codecs:
                second = summary.nearest(first, other) if other != codec else None
                if second is None:
                    continue
                if other == summary.anchor or 1 / COMPARABLE <= _rate_ratio(first, second) <= COMPARABLE:
                    pairs.setdefault(frozenset((id(first), id(second))), (first, second))
    return list(pairs.values())


def _savings(summary: Summary) -> tuple[Saving, ...]:
    """Return every lossy codec's BD-rate against the anchor, by each metric over the clips of each kind."""
    savings = []
    for codec in dict.fromkeys(point.codec for point in summary.lossy() if point.codec != summary.anchor):
        for kind in summary.kinds:
            reference, test = (_scores(summary.lossy(name, kind)) for name in (summary.anchor, codec))
            for metric in judging(in_order({name for score in test for name in score.metrics})):
                higher = metric_info(metric).better == "higher"
                found = rate_saving(reference, test, metric, higher_is_better=higher)
                savings.append(Saving(codec=codec, metric=metric, kind=kind, saving=found))
    return tuple(savings)


def _scores(points: Sequence[Point]) -> list[Score]:
    return [score for point in points for score in point.scores]
