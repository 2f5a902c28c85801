"""The sections of a report's page that show numbers: summary, rate savings, curves, clips, kinds and tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from training.evaluation.metric_table import MetricInfo, in_order, metric_info
from training.evaluation.report.parts import (
    MINUS,
    NONE,
    Cell,
    Row,
    counted,
    estimate,
    interval,
    key,
    number,
    order_key,
    point_name,
    point_row,
    signed,
    span,
    style_of,
    table,
)
from training.evaluation.report.plots import has_value, panels
from training.evaluation.report.summary import PairedTest, Point, Saving, Summary, judging, value_of
from training.evaluation.report.svg import Line, Pair, Spot, curves_svg, scatter_svg
from training.evaluation.statistics import clip_key, values_by_clip

ARROWS = {"higher": "↑ higher is better", "lower": "↓ lower is better", "none": "informs only"}


def summary_table(summary: Summary) -> str:
    """Return for each kind of clips a row an operating point; bold is what no point of as few bits reaches."""
    best = _best(summary)
    return "".join(_kind_table(summary, kind, best) for kind in summary.kinds)


def _kind_table(summary: Summary, kind: str, best: set[tuple[str, str, str]]) -> str:
    infos = [metric_info(name) for name in summary.metrics_of(kind)]
    columns = [("Operating point", ""), ("Clips", ""), ("kbps", "measured")]
    columns += [(info.label, _small_print(info)) for info in infos]
    columns += [("Encode", "times real time"), ("Decode", "times real time")]
    rows = []
    for point in (point for point in summary.points if point.kind == kind):
        cells = [number(point.whole.clips, 0), number(point.whole.measured_kbps, 2)]
        for info in infos:
            style = "best" if (point.name, kind, info.name) in best else ""
            cells.append(estimate(point.whole.metrics.get(info.name), info, style))
        cells += [number(point.whole.encode_realtime, 1), number(point.whole.decode_realtime, 1)]
        rows.append(point_row(summary, point, cells))
    heading = f"<h3>{escape(kind)}</h3>" if len(summary.kinds) > 1 else ""
    return heading + table(f"Means of all clips of {kind} by operating point", columns, rows)


def _small_print(info: MetricInfo) -> str:
    return ", ".join(part for part in (info.unit, ARROWS[info.better].removesuffix(" is better")) if part)


def savings_table(summary: Summary) -> str:
    """Return the BD-rates against the anchor, with the reasons of those that are undefined."""
    if not summary.savings:
        return f"<p>There is nothing to compare: it needs curves of {escape(summary.anchor)} and of another codec.</p>"
    metrics = judging(summary.metrics)
    rows = []
    for codec, kind in dict.fromkeys((saving.codec, saving.kind) for saving in summary.savings):
        found = {s.metric: s for s in summary.savings if (s.codec, s.kind) == (codec, kind)}
        cells = [Cell(html=escape(kind), style="left"), *(_saving_cell(found.get(metric)) for metric in metrics)]
        style = "ours" if codec in summary.ours else ""
        rows.append(Row(head=key(summary, codec) + escape(codec), key=codec, cells=cells, style=style))
    columns = [("Codec", ""), ("Over", ""), *((metric_info(m).label, "bitrate at equal quality") for m in metrics)]
    return table(f"Bitrate that each codec needs, against {summary.anchor}", columns, rows, tall=True)


def _saving_cell(found: Saving | None) -> Cell:
    if found is None:
        return Cell(html=NONE, value="")
    saving, info = found.saving, metric_info(found.metric)
    if saving.percent is None:
        return Cell(html=f'{NONE}<small class="wrap">{escape(saving.reason)}</small>', value="")
    small = "" if saving.low is None or saving.high is None else f"<small>{_percents(saving.low, saving.high)}</small>"
    if saving.quality_low is not None and saving.quality_high is not None and saving.overlap is not None:
        small += f"<small>{span(saving.quality_low, saving.quality_high, info)}</small>"
        small += f"<small>{saving.overlap:.0%} of the range</small>"
    style = "good" if saving.percent < 0 else "bad"
    return Cell(html=f"{signed(saving.percent, 0)} %{small}", value=saving.percent, style=style)


def _percents(low: float, high: float) -> str:
    return f"{signed(low, 0)} to {signed(high, 0)} %"


def curve_figures(summary: Summary) -> str:
    """Return switches for the codecs, and for each metric its curves with what it means."""
    lossy = {point.codec for point in summary.lossy()}
    switches = "".join(
        f'<button class="switch" aria-pressed="true" data-codec="{position}">{key(summary, codec)}'
        f"{escape(codec)}</button>"
        for position, codec in enumerate(summary.codecs)
        if codec in lossy
    )
    figures = "".join(
        _curve_figure(summary, metric, kind) for metric in summary.metrics for kind in panels(summary, metric)
    )
    if not figures:
        return "<p>No codec has a nominal bitrate and a value, so there are no curves.</p>"
    return (
        f'<div class="switches" role="group" aria-label="Show or hide codecs">{switches}</div>'
        f'<div class="grid curves">{figures}</div>'
    )


def _curve_figure(summary: Summary, metric: str, kind: str) -> str:
    info = metric_info(metric)
    lines = [line for position in range(len(summary.codecs)) if (line := _line(summary, info, position, kind)).spots]
    title = f"{info.title}, {kind}"
    return (
        f'<figure><h3>{escape(title)} <span class="badge">{ARROWS[info.better]}</span></h3>'
        f'<div class="scroll">{curves_svg(lines, title)}</div>'
        f"<figcaption>Range: {escape(info.range)}. Bad at {escape(info.bad_at[:1].lower() + info.bad_at[1:])} "
        f'<span class="soft">{escape(info.source)}</span></figcaption></figure>\n'
    )


def _line(summary: Summary, info: MetricInfo, position: int, kind: str) -> Line:
    codec, spots = summary.codecs[position], []
    for point in summary.lossy(codec, kind):
        group = point.whole
        found = group.metrics.get(info.name)
        if found is None or not has_value(found):
            continue
        text = f"{point.name}: {info.format(found.mean)} at {group.measured_kbps:.2f} kbps, n {found.count}"
        if math.isfinite(found.low):
            text += f", {found.confidence:.0%} interval {interval(found, info)}"
        spots.append(Spot(kbps=group.measured_kbps, mean=found.mean, low=found.low, high=found.high, text=text))
    spots.sort(key=lambda spot: spot.kbps)
    return Line(codec=codec, style=style_of(summary, codec), number=position, spots=tuple(spots))


def scatter_figures(summary: Summary) -> str:
    """Return for each of our operating points its clips against those of the anchor nearest in rate."""
    parts: list[str] = []
    for point in (point for codec in summary.ours for point in summary.lossy(codec)):
        other = summary.nearest(point, summary.anchor)
        plots = [_scatter(summary, point, other, metric) for metric in judging(summary.metrics)] if other else []
        if other and any(plots):
            rates = f"{point.whole.measured_kbps:.1f} against {other.whole.measured_kbps:.1f} kbps"
            parts.append(
                f"<details{' open' if not parts else ''}><summary>{point_name(summary, point)} against "
                f'{escape(other.name)} <span class="badge">{rates}</span></summary>'
                f'<div class="grid small">{"".join(plots)}</div></details>\n'
            )
    return "".join(parts) or f"<p>No clip was scored both by a codec of ours and by {escape(summary.anchor)}.</p>"


def _scatter(summary: Summary, point: Point, other: Point, metric: str) -> str:
    info = metric_info(metric)
    base = values_by_clip(other.scores, metric)
    pairs, better = [], 0
    for score in point.scores:
        x, y = base.get(clip_key(score), math.nan), value_of(score, metric)
        if math.isfinite(x + y):
            text = f"{score.clip.name}: {info.format(y)}, {other.name}: {info.format(x)}"
            pairs.append(Pair(x=x, y=y, text=text))
            better += y > x if info.better == "higher" else y < x
    if not pairs:
        return ""
    side = "above" if info.better == "higher" else "below"
    plot = scatter_svg(pairs, style_of(summary, point.codec), other.name, point.name)
    return (
        f"<figure><h3>{escape(info.title)}</h3>{plot}<figcaption>Better, {side} the line, on {better} of "
        f"{counted(len(pairs), 'clip')}.</figcaption></figure>\n"
    )


def breakdowns(summary: Summary) -> str:
    """Return a table for each metric: operating points over languages of speech."""
    languages = sorted({language for point in summary.points for language in point.languages})
    parts: list[str] = []
    spoken = [point for point in summary.points if point.languages]
    for metric in in_order({name for point in spoken for name in point.whole.metrics}):
        info = metric_info(metric)
        columns = [("Operating point", ""), ("kbps", "measured"), *((language, "") for language in languages)]
        rows = []
        for point in spoken:
            groups = [point.languages.get(one) for one in languages]
            cells = [estimate(group.metrics.get(metric) if group else None, info, count=True) for group in groups]
            rows.append(point_row(summary, point, [number(point.whole.measured_kbps, 2), *cells]))
        body = table(f"{info.title} by language", columns, rows, tall=True)
        badge = f'<span class="badge">{ARROWS[info.better]}</span>'
        opened = "" if parts else " open"
        parts.append(f"<details{opened}><summary>{escape(info.title)} {badge}</summary>{body}</details>\n")
    return "".join(parts) or "<p>No clip tells its language.</p>"


def test_tables(summary: Summary) -> str:
    """Return the paired tests, those against the anchor first."""
    against = [test for test in summary.tests if test.second.codec == summary.anchor]
    others = [test for test in summary.tests if test.second.codec != summary.anchor]
    parts: list[str] = []
    for title, tests in ((f"against {summary.anchor}", against), ("against other codecs of comparable rate", others)):
        if tests:
            opened = "" if parts else " open"
            heading = f"{escape(title)} <span class='badge'>{counted(len(tests), 'test')}</span>"
            parts.append(
                f"<details{opened}><summary>{heading}</summary>{_test_table(summary, tests, title)}</details>\n"
            )
    return "".join(parts) or "<p>No two codecs share a clip, so there is nothing to test.</p>"


def _test_table(summary: Summary, tests: Sequence[PairedTest], title: str) -> str:
    rows = []
    for test in tests:
        info, difference = metric_info(test.metric), test.comparison.difference
        ends = f"{signed(difference.low, info.digits)} to {signed(difference.high, info.digits)}"
        small = f"<small>{ends}</small>" if math.isfinite(difference.low) else ""
        rates = [number(point.whole.measured_kbps, 1) for point in (test.first, test.second)]
        second = Cell(html=point_name(summary, test.second), value=order_key(summary, test.second), style="left")
        cells = [second, Cell(html=escape(info.label), style="left"), *rates]
        cells.append(Cell(html=signed(difference.mean, info.digits) + small, value=difference.mean))
        cells += [number(difference.count, 0), Cell(html=_p_text(test.p_holm), value=_sortable(test.p_holm))]
        cells.append(Cell(html=verdict(test), style="left"))
        rows.append(point_row(summary, test.first, cells))
    columns = [("A", ""), ("B", ""), ("Metric", ""), ("kbps A", ""), ("kbps B", ""), (f"A {MINUS} B", "95% interval")]
    columns += [("Clips", ""), ("p", "Holm"), ("Significant?", "")]
    return table(f"Paired tests {title}", columns, rows, tall=True)


def verdict(test: PairedTest) -> str:
    """Return who is better, as HTML."""
    if not test.significant:
        return '<span class="badge">no</span>'
    first = a_is_better(test)
    return f'<span class="badge {"good" if first else "bad"}">yes: {"A" if first else "B"} is better</span>'


def a_is_better(test: PairedTest) -> bool:
    """Tell whether the first point's mean is better."""
    return (test.comparison.difference.mean > 0) == (metric_info(test.metric).better == "higher")


def _p_text(p: float) -> str:
    if math.isnan(p):
        return NONE
    return "&lt; 0.001" if p < 0.001 else f"{p:.3f}"


def _sortable(value: float) -> float | str:
    return value if math.isfinite(value) else ""


def _best(summary: Summary) -> set[tuple[str, str, str]]:
    """Return (point, kind, metric) where no lossy point on the same clips has as few bits and is as good."""
    best = set()
    for metric in judging(summary.metrics):
        sign = 1 if metric_info(metric).better == "higher" else -1
        fronts: dict[frozenset[object], list[Point]] = {}
        for point in summary.lossy():
            clips = frozenset(clip_key(s) for s in point.scores if metric in s.metrics)
            if has_value(point.whole.metrics.get(metric)):
                fronts.setdefault(clips, []).append(point)
        for points in fronts.values():
            reached = -math.inf
            for point in sorted(points, key=lambda p: (p.whole.measured_kbps, -sign * p.whole.metrics[metric].mean)):
                if (quality := sign * point.whole.metrics[metric].mean) > reached:
                    reached = quality
                    best.add((point.name, point.kind, metric))
    return best
