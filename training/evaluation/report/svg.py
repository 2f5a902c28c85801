"""Drawings inside a report: rate-distortion curves and scatter plots as SVG, coloured by the page's style sheet.

So they follow the reader's light or dark mode, and no library takes part. Every name is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 48, 96, 14, 44
SIDE = 300
LABEL_HEIGHT = 13.0
LABEL_CHARACTER = 6.3
RATES = (0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 1536)
MIN_TICK_GAP = 34.0


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A point of a curve: its mean, and the ends of its interval, NaN where unknown."""

    kbps: float
    mean: float
    low: float
    high: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """A codec's curve; `style` is its class in the style sheet, `number` what its switch is called."""

    codec: str
    style: str
    number: int
    spots: tuple[Spot, ...]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A clip of a scatter plot."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class _Scale:
    """Maps values to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def curves_svg(lines: Sequence[Line], title: str) -> str:
    """Return rate-distortion curves over measured kbps on a log scale, labelled at their ends; at least one point."""
    spots = [spot for line in lines for spot in line.spots]
    rates = [spot.kbps for spot in spots]
    values = [end for spot in spots for end in (spot.mean, spot.low, spot.high) if math.isfinite(end)]
    x = _Scale(min(rates) / 1.12, max(rates) * 1.12, LEFT, WIDTH - RIGHT, log=True)
    y = _Scale(*_padded(values), HEIGHT - BOTTOM, TOP)
    parts = [*_rate_axis(x), *_value_axis(y)]
    for line in reversed(lines):
        parts += _curve(line, x, y)
    parts += _labels(lines, x, y)
    names = ", ".join(line.codec for line in lines)
    return _svg(WIDTH, HEIGHT, f"{title} over measured kbps, of {names}; the summary table holds the numbers", parts)


def scatter_svg(pairs: Sequence[Pair], style: str, x_label: str, y_label: str) -> str:
    """Return a scatter plot of clips with the diagonal of equality; at least one clip."""
    low, high = _padded([value for pair in pairs for value in (pair.x, pair.y)])
    left, right, top, bottom = 58, SIDE - 10, 10, SIDE - BOTTOM
    x, y = _Scale(low, high, left, right), _Scale(low, high, bottom, top)
    parts = []
    for value, text in _ticks(low, high, 4):
        parts.append(f'<path class="rule" d="M{x(value):.1f} {top}V{bottom}M{left} {y(value):.1f}H{right}"/>')
        parts.append(_text(x(value), bottom + 16, text, "middle"))
        parts.append(_text(left - 6, y(value) + 4, text, "end"))
    parts.append(f'<path class="equal" d="M{x(low):.1f} {y(low):.1f}L{x(high):.1f} {y(high):.1f}"/>')
    parts.append(f'<g class="dots {style}">')
    for pair in pairs:
        spot = f'cx="{x(pair.x):.1f}" cy="{y(pair.y):.1f}"'
        parts.append(f'<circle {spot} r="4"><title>{escape(pair.text)}</title></circle>')
    parts.append("</g>" + _text((left + right) / 2, SIDE - 8, x_label, "middle"))
    turned = f'transform="translate(12 {(top + bottom) / 2}) rotate(-90)"'
    parts.append(f'<text text-anchor="middle" {turned}>{escape(y_label)}</text>')
    return _svg(SIDE, SIDE, f"Clips by {y_label} over {x_label}", parts)


def _svg(width: int, height: int, label: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
    return head + "".join(parts) + "</svg>"


def _text(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    css = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{css}>{escape(text)}</text>'


def _rate_axis(x: _Scale) -> Iterator[str]:
    last = -math.inf
    for rate in RATES:
        if x.low <= rate <= x.high and x(rate) - last >= MIN_TICK_GAP:
            last = x(rate)
            yield f'<path class="rule" d="M{last:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
            yield _text(last, HEIGHT - BOTTOM + 17, f"{rate:g}", "middle")
    yield f'<path class="axis" d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>'
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "measured kbps (log scale)", "middle")


def _value_axis(y: _Scale) -> Iterator[str]:
    for value, text in _ticks(y.low, y.high, 5):
        yield f'<path class="rule" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/>'
        yield _text(LEFT - 8, y(value) + 4, text, "end")


def _curve(line: Line, x: _Scale, y: _Scale) -> Iterator[str]:
    yield f'<g class="line {line.style}" data-codec="{line.number}">'
    steps = " ".join(f"{x(spot.kbps):.1f},{y(spot.mean):.1f}" for spot in line.spots)
    yield f'<polyline points="{steps}"/>'
    for spot in line.spots:
        across, up = x(spot.kbps), y(spot.mean)
        if math.isfinite(spot.low) and math.isfinite(spot.high):
            yield f'<path class="bar" d="M{across:.1f} {y(spot.low):.1f}V{y(spot.high):.1f}"/>'
        yield (
            f'<circle class="dot" cx="{across:.1f}" cy="{up:.1f}" r="4"/>'
            f'<circle class="hit" cx="{across:.1f}" cy="{up:.1f}" r="11"><title>{escape(spot.text)}</title></circle>'
        )
    yield "</g>"


def _labels(lines: Sequence[Line], x: _Scale, y: _Scale) -> Iterator[str]:
    """Write each codec beside the last point of its curve, moved down where it would hide another's."""
    ends = [(x(line.spots[-1].kbps) + 9, y(line.spots[-1].mean) + 4, line) for line in lines]
    placed: list[tuple[float, float, float]] = []
    for left, wanted, line in sorted(ends, key=lambda end: (end[1], end[2].codec)):
        name = line.codec if len(line.codec) <= 16 else line.codec[:15] + "…"
        right, at = left + len(name) * LABEL_CHARACTER, wanted
        for other_left, other_right, other_at in sorted(placed, key=lambda other: other[2]):
            if left < other_right and other_left < right and abs(at - other_at) < LABEL_HEIGHT:
                at = other_at + LABEL_HEIGHT
        placed.append((left, right, at))
        yield f'<g class="label {line.style}" data-codec="{line.number}">{_text(left, at, name, "start")}</g>'


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = 0.06 * (high - low) or max(abs(high), 1.0) * 0.1
    return low - pad, high + pad


def _ticks(low: float, high: float, wanted: int) -> list[tuple[float, str]]:
    """Return round numbers from low to high, about as many as wanted, with their texts."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    digits = next((count for count in range(9) if math.isclose(round(step, count), step)), 9)
    values = [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
    return [(value, f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")) for value in values]
