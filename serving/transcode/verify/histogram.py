"""A histogram as SVG, coloured by the page's style sheet: so it follows light and dark, and takes no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 560, 210
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 30
BARS = 24


def histogram_svg(values: Sequence[float], floor: float | None, label: str) -> str:
    """Return how many values, of which there is one at least, lie where; those below the floor stand out."""
    low, step, bars, digits = _scale(min(values), max(values), floor)
    counts = [0] * bars
    for value in values:
        counts[_bar(value, low, step)] += 1
    top, span = max(counts), bars * step

    def across(value: float) -> float:
        return LEFT + (value - low) / span * (WIDTH - LEFT - RIGHT)

    def up(count: float) -> float:
        return HEIGHT - BOTTOM - count / top * (HEIGHT - TOP - BOTTOM)

    parts = []
    for count in sorted({top, top // 2} - {0}):
        parts.append(f'<path class="rule" d="M{LEFT} {up(count):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(_text(LEFT - 6, up(count) + 4, f"{count}", "end"))
    for number, count in enumerate(counts):
        if count:
            start, end = low + number * step, low + (number + 1) * step
            style = "bar below" if floor is not None and end <= floor + step * 1e-9 else "bar"
            title = f"{start:.{digits}f} to {end:.{digits}f}: {count}"
            parts.append(
                f'<rect class="{style}" x="{across(start) + 1:.1f}" y="{up(count):.1f}" '
                f'width="{max(1.0, across(end) - across(start) - 2):.1f}" height="{up(0) - up(count):.1f}" rx="2">'
                f"<title>{title}</title></rect>"
            )
    parts.append(f'<path class="axis" d="M{LEFT} {up(0):.1f}H{WIDTH - RIGHT}"/>')
    every = math.ceil(bars / 8)
    for number in range(0, bars + 1, every):
        text = f"{low + number * step:.{digits}f}".replace("-", "\N{MINUS SIGN}")
        parts.append(_text(across(low + number * step), HEIGHT - 12, text, "middle"))
    if floor is not None:
        parts.append(f'<path class="floor" d="M{across(floor):.1f} {TOP - 6}V{up(0):.1f}"><title>floor</title></path>')
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'
    return head + "".join(parts) + "</svg>"


def _scale(low: float, high: float, floor: float | None) -> tuple[float, float, int, int]:
    """Return where bars begin, how wide and how many they are, and the digits that tell them apart.

    A floor is the edge of a bar.
    """
    if floor is not None:
        low, high = min(low, floor), max(high, floor)
    rough = max(high - low, 1e-3) / BARS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    anchor = floor if floor is not None else 0.0
    begin = anchor + _bar(low, anchor, step) * step
    shift = floor is not None and not math.isclose(floor / step, round(floor / step), abs_tol=1e-6)
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) + (1 if step / power == 2.5 or shift else 0)
    return begin, step, _bar(high, begin, step) + 1, min(digits, 6)


def _bar(value: float, low: float, step: float) -> int:
    return math.floor((value - low) / step + 1e-9)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
