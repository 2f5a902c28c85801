"""What the sections of a report's page are made of: tables that sort, estimates and names as HTML, all escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from training.evaluation.metric_table import MetricInfo
from training.evaluation.report.plots import codec_style
from training.evaluation.report.summary import Point, Summary
from training.evaluation.statistics import Estimate

MINUS = "\N{MINUS SIGN}"
NONE = '<span class="soft">\N{EN DASH}</span>'


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A table's cell: its content as HTML, and what it sorts by, if not its text."""

    html: str
    value: float | str | None = None
    style: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row: its head as HTML and as what it sorts by, and its other cells."""

    head: str
    key: str
    cells: Sequence[Cell]
    style: str = ""


def table(caption: str, columns: Sequence[tuple[str, str]], rows: Sequence[Row], *, tall: bool = False) -> str:
    """Return a table that sorts by click; columns are (name, small print), the first that of the row's heads."""
    lefts = [True, *(cell.style == "left" for cell in rows[0].cells)] if rows else [True] * len(columns)
    head = "".join(_column(name, small, left) for (name, small), left in zip(columns, lefts, strict=True))
    body = "".join(
        f'<tr{_class(row.style)}><th scope="row" data-v="{escape(row.key)}">{row.head}</th>'
        f"{''.join(_cell(cell) for cell in row.cells)}</tr>\n"
        for row in rows
    )
    tall_style = " tall" if tall else ""
    return (
        f'<div class="scroll{tall_style}" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table aria-label="{escape(caption)}"><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>\n'
    )


def number(value: float | None, digits: int, style: str = "") -> Cell:
    """Return a cell with a number, or a dash."""
    if value is None or not math.isfinite(value):
        return Cell(html=NONE, value="")
    return Cell(html=f"{value:.{digits}f}", value=value, style=style)


def estimate(found: Estimate | None, info: MetricInfo, style: str = "", *, count: bool = False) -> Cell:
    """Return a cell with a mean, its interval, and how many clips have it if asked or if some have none."""
    if found is None:
        return Cell(html=NONE, value="")
    small = [interval(found, info)] if math.isfinite(found.low) else []
    if count:
        small.append(f"n {found.count}")
    if found.left_out:
        small.append(f"{found.left_out} undefined")
    lines = "".join(f"<small>{line}</small>" for line in small)
    if not math.isfinite(found.mean):
        return Cell(html=NONE + lines, value="")
    return Cell(html=info.format(found.mean) + lines, value=found.mean, style=style)


def interval(found: Estimate, info: MetricInfo) -> str:
    """Return the interval of an estimate."""
    return span(found.low, found.high, info)


def span(low: float, high: float, info: MetricInfo) -> str:
    """Return a range of values, as short as it can be read."""
    between = " to " if low < 0 else "\N{EN DASH}"
    return f"{info.format(low)}{between}{info.format(high)}"


def signed(value: float, digits: int) -> str:
    """Return a number with its sign."""
    return f"{value:+.{digits}f}".replace("-", MINUS)


def point_name(summary: Summary, point: Point) -> str:
    """Return an operating point's name as HTML, with its codec's colour, and its kind of clips if there are several."""
    kind = f' <span class="badge">{escape(point.kind)}</span>' if len(summary.kinds) > 1 else ""
    return f"{key(summary, point.codec)}{escape(point.name)}{kind}"


def key(summary: Summary, codec: str) -> str:
    """Return a codec's spot of colour."""
    style = codec_style(summary, summary.codecs.index(codec))[0]
    return f'<span class="key {style}" aria-hidden="true"></span>'


def style_of(summary: Summary, codec: str) -> str:
    """Return the classes of a codec's curve."""
    ours = " ours" if codec in summary.ours else ""
    return codec_style(summary, summary.codecs.index(codec))[0] + ours


def order_key(summary: Summary, point: Point) -> str:
    """Return what sorts operating points by codec, kind of clips and bitrate."""
    codec, kind = summary.codecs.index(point.codec), summary.kinds.index(point.kind)
    return f"{codec:03d} {kind:03d} {point.whole.measured_kbps:012.3f}"


def point_row(summary: Summary, point: Point, cells: Sequence[Cell]) -> Row:
    """Return a row whose head is an operating point."""
    style = "ours" if point.codec in summary.ours else ""
    return Row(head=point_name(summary, point), key=order_key(summary, point), cells=cells, style=style)


def counted(count: int, word: str) -> str:
    """Return a count with its word: '1 clip', '2 clips'."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def _column(name: str, small: str, left: bool) -> str:
    style = ' class="left"' if left else ""
    print_small = f"<small>{escape(small)}</small>" if small else ""
    return f'<th scope="col" aria-sort="none"{style}><button>{escape(name)}</button>{print_small}</th>'


def _cell(cell: Cell) -> str:
    value = "" if cell.value is None else f' data-v="{escape(str(cell.value))}"'
    return f"<td{_class(cell.style)}{value}>{cell.html}</td>"


def _class(style: str) -> str:
    return f' class="{style}"' if style else ""
