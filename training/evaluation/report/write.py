"""The report of an evaluation: a page to read and to mail, curves as pictures, and tables for other programs.

    OUT/report.html           everything, in one file: tables, curves, tests, the worst clips with their sound
    OUT/curves_<metric>.png   the metric over measured kbps, a panel for each kind of clips
    OUT/scores.csv            a row for each clip and operating point
    OUT/summary.csv           a row for each operating point over the clips of each kind and of each language
    OUT/bd_rates.csv          a row for each codec, kind and metric: bitrate at equal quality against the anchor
    OUT/summary.json          both, with paired tests

The same scores, notes and sound give the same bytes, as there is no date in them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codec.files import write_bytes
from training.evaluation.report.html import page
from training.evaluation.report.plots import curves_png, panels
from training.evaluation.report.summary import Summary, summarize
from training.evaluation.report.tables import savings_csv, scores_csv, summary_csv, summary_json
from training.evaluation.report.worst import AudioSource, find_worst, make_cards
from training.evaluation.scores import Score

ANCHOR = "opus"


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """What a report wrote; `curves` by metric. `numbers` is what it says."""

    html: Path
    scores_csv: Path
    summary_csv: Path
    bd_rates_csv: Path
    summary_json: Path
    curves: dict[str, Path]
    numbers: Summary


def write_report(
    out: Path,
    scores: Sequence[Score],
    *,
    anchor: str = ANCHOR,
    audio: AudioSource | None = None,
    title: str,
    notes: Sequence[str],
    ours: Sequence[str] | None = None,
) -> ReportFiles:
    """Write the report of `scores` into folder `out`.

    Args:
        out: The folder, made if missing; files of the same names are replaced.
        scores: Of any codecs, operating points and clips.
        anchor: The codec that others are compared with; it may be missing from the scores.
        audio: Gives the sound of the worst clips; without it the page has none.
        title: The page's heading.
        notes: What was left out, a sentence each.
        ours: The codecs to look at closely: scatter plots, tests, worst clips. By default those of the registry
            ('speech:3'), or without any all lossy ones but the anchor.

    Raises:
        DataError: There are no scores, or a clip is scored twice at an operating point.
    """
    summary = summarize(scores, anchor, ours)
    worst = find_worst(summary)
    cards = make_cards(worst, audio) if audio else []
    texts = {
        "report.html": page(summary, worst, cards, title, notes),
        "scores.csv": scores_csv(summary),
        "summary.csv": summary_csv(summary),
        "bd_rates.csv": savings_csv(summary),
        "summary.json": summary_json(summary, title, notes),
    }
    for name, text in texts.items():
        # Names of files may hold bytes that are no UTF-8.
        write_bytes(out / name, text.encode("utf-8", "backslashreplace"))
    return ReportFiles(
        html=out / "report.html",
        scores_csv=out / "scores.csv",
        summary_csv=out / "summary.csv",
        bd_rates_csv=out / "bd_rates.csv",
        summary_json=out / "summary.json",
        curves=_write_curves(out, summary),
        numbers=summary,
    )


def _write_curves(out: Path, summary: Summary) -> dict[str, Path]:
    """Write the curves of each metric that has any."""
    curves = {metric: out / f"curves_{_file_name(metric)}.png" for metric in summary.metrics if panels(summary, metric)}
    for metric, path in curves.items():
        write_bytes(path, curves_png(summary, metric))
    return curves


def _file_name(metric: str) -> str:
    """Return a metric's name with nothing in it that leads out of a folder."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", metric)
