"""The page of a verification: one HTML file that needs nothing else, runs no script, and forbids itself other hosts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from serving.transcode.verify.excerpt import Excerpt
from serving.transcode.verify.finding import MEASURES, Finding, Floors, Measure
from serving.transcode.verify.histogram import histogram_svg
from serving.transcode.verify.style import STYLE
from serving.transcode.verify.summary import Spread, Summary

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
FOOTER = (
    "SI-SDR is that of the whole file, ViSQOL the mean over windows of at most 10 seconds. No measure replaces "
    "listening: SI-SDR punishes shifts that nobody hears, ViSQOL knows nothing of stereo."
)


def page(summary: Summary, floors: Floors, excerpts: Sequence[tuple[Finding, Excerpt | None]], title: str) -> str:
    """Return the whole page; `excerpts` are of the worst files, the worst first."""
    sections = [
        ("What did not pass", _failures(summary)),
        ("How good it is", _spreads(summary, floors)),
        ("The worst files", _worst(excerpts)),
    ]
    body = "\n".join(f"<section><h2>{heading}</h2>{content}</section>" for heading, content in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1>{_tiles(summary)}</header>\n"
        f"<main>\n{body}\n<footer>{FOOTER}</footer></main>\n</body></html>\n"
    )


def _tiles(summary: Summary) -> str:
    kbps = summary.bits / summary.seconds / 1000 if summary.seconds else 0.0
    tiles = [
        ("files", f"{summary.num_files:,}", ""),
        ("hours of audio", f"{summary.seconds / 3600:,.2f}", ""),
        ("kbps", f"{kbps:.2f}", ""),
        ("good", f"{summary.counts['ok']:,}", "good" if summary.counts["ok"] else ""),
        ("failed", f"{summary.counts['failed']:,}", "bad" if summary.counts["failed"] else ""),
        ("missing", f"{summary.counts['missing']:,}", "bad" if summary.counts["missing"] else ""),
        ("strays", f"{summary.counts['stray']:,}", "bad" if summary.counts["stray"] else ""),
        ("encoded again", f"{summary.repaired:,}", ""),
        ("with no value", f"{summary.unmeasured:,}", ""),
    ]
    inner = "".join(f'<div class="tile"><b class="{style}">{value}</b>{name}</div>' for name, value, style in tiles)
    return f'<div class="tiles">{inner}</div>'


def _failures(summary: Summary) -> str:
    if not summary.failures:
        return "<p>Everything passed.</p>"
    rows = "".join(
        f"<tr><td>{escape(finding.name)}</td><td>{finding.status}</td><td>{escape(finding.reason or '')}</td></tr>\n"
        for finding in summary.failures
    )
    more = summary.num_failures - len(summary.failures)
    note = f'<p class="soft">And {more:,} more, in report.jsonl.</p>' if more else ""
    head = "<thead><tr><th>File</th><th>Status</th><th>Why</th></tr></thead>"
    return f'<div class="scroll" tabindex="0"><table>{head}<tbody>\n{rows}</tbody></table></div>{note}'


def _spreads(summary: Summary, floors: Floors) -> str:
    figures = "".join(_figure(spread, getattr(floors, spread.measure.name)) for spread in summary.spreads())
    return f'<div class="grid">{figures}</div>' if figures else "<p>Nothing was measured.</p>"


def _figure(spread: Spread, floor: float | None) -> str:
    def show(value: float) -> str:
        return _shown(spread.measure, value)

    facts = (
        f"mean {show(spread.mean)}, median {show(spread.median)}, 5% of files at most {show(spread.lowest_5_percent)}"
    )
    if floor is not None:
        facts += f", floor {show(floor)}"
    drawing = histogram_svg(spread.values, floor, f"Files by {spread.measure.label}: {facts}")
    return f"<figure><figcaption>{spread.measure.label} <small>{facts}</small></figcaption>{drawing}</figure>"


def _worst(excerpts: Sequence[tuple[Finding, Excerpt | None]]) -> str:
    if not excerpts:
        return "<p>Nothing was measured.</p>"
    return "".join(_card(number, finding, excerpt) for number, (finding, excerpt) in enumerate(excerpts, start=1))


def _card(number: int, finding: Finding, excerpt: Excerpt | None) -> str:
    values = [(measure, finding.value(measure.name)) for measure in MEASURES]
    facts = [f"{measure.label} {_shown(measure, value)}" for measure, value in values if value is not None]
    facts.append(f"{finding.measured_kbps or 0:.2f} kbps")
    if excerpt is None:
        sounds = '<p class="soft">No sound: the page would grow too large, or it can\'t be read.</p>'
    else:
        facts.append(f"{excerpt.seconds:.1f} of {finding.seconds or 0:.1f} s, from {excerpt.start_s:.1f} s on")
        sounds = (
            f'<div class="sounds">{_sound("original", finding, excerpt.original_flac, excerpt.original_png)}'
            f"{_sound('decoded', finding, excerpt.decoded_flac, excerpt.decoded_png)}</div>"
        )
    shown = " open" if number == 1 else ""
    head = f"{number}. {escape(finding.name)} <small>{', '.join(facts)}</small>"
    return f"<details{shown}><summary>{head}</summary>{sounds}</details>\n"


def _sound(kind: str, finding: Finding, flac: bytes, png: bytes) -> str:
    label = escape(f"{kind} of {finding.name}")
    return (
        f'<div><h3>{kind}</h3><audio controls preload="none" src="{_data_uri("audio/flac", flac)}" '
        f'aria-label="{label}"></audio><img src="{_data_uri("image/png", png)}" alt="Spectrogram, {label}"></div>'
    )


def _shown(measure: Measure, value: float) -> str:
    return measure.format(value).replace("-", "\N{MINUS SIGN}")


def _data_uri(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
