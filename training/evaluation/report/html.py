"""A report's page: one HTML file that needs nothing else, forbids itself other hosts, and reads without scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from training.evaluation.metric_table import metric_info
from training.evaluation.report.parts import Cell, Row, counted, key, number, point_row, signed, table
from training.evaluation.report.sections import (
    a_is_better,
    breakdowns,
    curve_figures,
    savings_table,
    scatter_figures,
    summary_table,
    test_tables,
)
from training.evaluation.report.style import SCRIPT, STYLE
from training.evaluation.report.summary import Summary
from training.evaluation.report.worst import LISTEN_SECONDS, WORST, Card, Sound, Worst
from training.evaluation.statistics import ClipKey, clip_key

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; media-src data:"


def page(summary: Summary, worst: Sequence[Worst], cards: Sequence[Card], title: str, notes: Sequence[str]) -> str:
    """Return the whole page."""
    anchor = escape(summary.anchor)
    sections = [
        ("summary", "Summary", SUMMARY_TEXT, summary_table(summary)),
        ("savings", f"Bitrate against {anchor}", SAVINGS_TEXT.format(anchor=anchor), savings_table(summary)),
        ("curves", "Quality over bitrate", _curves_text(summary), curve_figures(summary)),
        ("clips", "Clip by clip", SCATTER_TEXT.format(anchor=anchor), scatter_figures(summary)),
        ("languages", "By language", LANGUAGES_TEXT, breakdowns(summary)),
        ("tests", "Paired tests", TESTS_TEXT.format(count=counted(len(summary.tests), "test")), test_tables(summary)),
        ("worst", "Worst clips", WORST_TEXT.format(count=WORST), _worst_section(summary, worst, cards)),
        ("notes", "Notes", NOTES_TEXT, _notes_section(summary, notes)),
    ]
    links = "".join(f'<a href="#{name}">{heading}</a>' for name, heading, _, _ in sections)
    body = "\n".join(
        f'<section aria-labelledby="{name}"><h2 id="{name}">{heading}</h2><p class="soft">{text}</p>{content}</section>'
        for name, heading, text, content in sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        f'<header><h1>{escape(title)}</h1><p class="soft">{_extent(summary)}</p>{_tiles(summary)}</header>\n'
        f'<nav aria-label="Sections">{links}</nav>\n<main>\n{body}<footer>{FOOTER}</footer></main>\n'
        f"<script>{SCRIPT}</script>\n</body></html>\n"
    )


SUMMARY_TEXT = (
    "Means over all clips of a kind, 95% bootstrap intervals below them; there are none over several kinds, as metrics "
    "are taken at other rates or in other modes. Click a heading to sort. Bold: no "
    "lossy point with as few bits is as good on the same clips. kbps are all bytes over all seconds, with containers."
)
SAVINGS_TEXT = (
    "BD-rate: how much more or less bitrate than {anchor} a codec needs for the same value, averaged over the range "
    "that both reach, with a 95% bootstrap interval over clips. Negative is good. A small share of the range says "
    "little."
)
SCATTER_TEXT = (
    "Each dot is a clip: ours over {anchor} at the nearest measured bitrate. On the dashed line both are equal."
)
LANGUAGES_TEXT = "The same means by language of speech."
TESTS_TEXT = (
    "Differences over the same clips, with 95% bootstrap intervals. p is of Wilcoxon's signed-rank test, corrected "
    "after Holm for all {count} of this report; significant is p below 0.05. Mind that A and B rarely cost the same."
)
WORST_TEXT = (
    "The {count} clips at which each operating point of ours is worst, by each metric; numbers lead to the sound."
)
NOTES_TEXT = "What was left out, what has no value, and why."
FOOTER = (
    "Intervals say how far another choice of clips could move a mean; they say nothing about listeners. No metric "
    "replaces listening. Real-time factors are seconds of audio per second of work on one thread."
)


def _curves_text(summary: Summary) -> str:
    text = "Means with 95% intervals; hover or tap a point for its numbers, switch codecs off by their names."
    lossless = dict.fromkeys(point.name for point in summary.points if point.bitrate_kbps is None)
    empty = dict.fromkeys(
        f"{point.name} ({point.kind})"
        for point in summary.points
        if point.bitrate_kbps is not None and not point.whole.measured_kbps
    )
    for names, why in ((lossless, "have no nominal bitrate"), (empty, "took no bytes")):
        if names:
            text += f" Left out, as they {why}: {escape(', '.join(names))}."
    return text


def _extent(summary: Summary) -> str:
    """Return how much was evaluated."""
    clips = {clip_key(score): score.clip for point in summary.points for score in point.scores}
    kinds = Counter(clip.kind for clip in clips.values())
    languages = {clip.language for clip in clips.values()} - {""}
    parts = [f"{counted(len(clips), 'clip')}, {sum(clip.seconds for clip in clips.values()) / 60:.1f} minutes"]
    parts.append(", ".join(f"{escape(kind)} {count}" for kind, count in sorted(kinds.items())))
    if languages:
        parts.append(f"{counted(len(languages), 'language')} of speech")
    points = counted(len({point.name for point in summary.points}), "operating point")
    parts.append(f"{counted(len(summary.codecs), 'codec')} at {points}, anchor {escape(summary.anchor)}")
    return " · ".join(parts)


def _tiles(summary: Summary) -> str:
    """Return for each codec of ours how it stands against the anchor."""
    tiles = []
    for codec in summary.ours:
        savings = [s for s in summary.savings if s.codec == codec and s.saving.percent is not None]
        tests = [t for t in summary.tests if t.first.codec == codec and t.second.codec == summary.anchor]
        if not savings and not tests:
            continue
        clear = [a_is_better(test) for test in tests if test.significant]
        rates = "".join(
            f"<dt>{escape(metric_info(s.metric).label + (f', {s.kind}' if len(summary.kinds) > 1 else ''))}</dt>"
            f'<dd class="{"good" if (s.saving.percent or 0) < 0 else "bad"}">{signed(s.saving.percent or 0, 0)} %</dd>'
            for s in savings
        )
        tiles.append(
            f'<div class="tile"><h3>{key(summary, codec)}{escape(codec)} against {escape(summary.anchor)}</h3>'
            f'<p class="soft">At the nearest bitrate: better in {sum(clear)}, worse in {len(clear) - sum(clear)}, no '
            f"significant difference in {len(tests) - len(clear)} of {counted(len(tests), 'test')}.</p>"
            + (f'<p class="soft">Bitrate at equal quality:</p><dl>{rates}</dl>' if rates else "")
            + "</div>"
        )
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def _worst_section(summary: Summary, worst: Sequence[Worst], cards: Sequence[Card]) -> str:
    if not worst:
        return "<p>No clip of ours has a value.</p>"
    numbers = {clip_key_of(card): position for position, card in enumerate(cards, start=1)}
    rows: dict[tuple[str, str, str], list[Worst]] = {}
    for one in worst:
        rows.setdefault((one.point.name, one.point.kind, one.metric), []).append(one)
    made = []
    for found in rows.values():
        cells = [Cell(html=escape(metric_info(found[0].metric).title), style="left")]
        cells += [_worst_cell(one, numbers.get(clip_key(one.score))) for one in found]
        cells += [number(None, 0)] * (WORST - len(found))
        made.append(point_row(summary, found[0].point, cells))
    columns = [("Operating point", ""), ("Metric", ""), *((f"Worst {rank}", "") for rank in range(1, WORST + 1))]
    listing = table("Worst clips by operating point and metric", columns, made, tall=True)
    return listing + "".join(_card(card, position) for position, card in enumerate(cards, start=1))


def clip_key_of(card: Card) -> ClipKey:
    """Return the key of a card's clip."""
    return (card.clip.name, card.clip.seconds, card.clip.sample_rate, card.clip.channels)


def _worst_cell(one: Worst, position: int | None) -> Cell:
    link = f' <a href="#clip-{position}">listen: {position}</a>' if position else ""
    value = metric_info(one.metric).format(one.value)
    return Cell(html=f"{value}{link}<small>{escape(one.score.clip.name)}</small>", value=one.value)


def _card(card: Card, position: int) -> str:
    clip = card.clip
    about = " · ".join(
        part for part in (clip.kind, clip.language, f"{clip.seconds:.1f} s", f"{clip.sample_rate} Hz") if part
    )
    if clip.seconds > LISTEN_SECONDS:
        about += f" · first {LISTEN_SECONDS:g} s"
    sounds = "".join(_sound(sound, clip.name) for sound in (card.original, *card.reconstructions))
    return (
        f'<details id="clip-{position}"{" open" if position == 1 else ""}><summary>{position}. {escape(clip.name)} '
        f'<span class="badge">{escape(about)}</span></summary><div class="sounds">{sounds}</div></details>\n'
    )


def _sound(sound: Sound, clip: str) -> str:
    reasons = ", ".join(
        f"{metric_info(one.metric).label} {metric_info(one.metric).format(one.value)} (worst {one.rank})"
        for one in sound.found
    )
    name, label = escape(sound.name), escape(f"{sound.name} of {clip}")
    return (
        f"<div><h3>{name}</h3><small>{escape(reasons) or 'what it should sound like'}</small>"
        f'<audio controls preload="none" src="{sound.flac}" aria-label="{label}"></audio>'
        f'<img src="{sound.spectrogram}" loading="lazy" alt="Spectrogram of {label}"></div>'
    )


def _notes_section(summary: Summary, notes: Sequence[str]) -> str:
    listing = "".join(f"<li>{escape(note)}</li>" for note in notes)
    reasons = Counter(
        (metric, reason) for point in summary.points for s in point.scores for metric, reason in s.undefined.items()
    )
    rows = [
        Row(
            head=escape(metric_info(metric).label),
            key=metric,
            cells=[number(count, 0), Cell(html=escape(reason), style="left")],
        )
        for (metric, reason), count in sorted(reasons.items())
    ]
    columns = [("Metric", ""), ("Scores without a value", ""), ("Why", "")]
    undefined = table("Scores without a value", columns, rows, tall=True) if rows else "<p>Every score has a value.</p>"
    return (f"<ul>{listing}</ul>" if listing else "<p>Nothing was left out.</p>") + undefined
