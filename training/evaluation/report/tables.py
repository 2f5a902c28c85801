"""A report's tables for other programs: CSV and JSON. What has no value is empty or null.

Spreadsheets run text that starts as a formula does, and names of files may: in CSV such text follows an apostrophe.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from training.evaluation.report.summary import Group, PairedTest, Point, Saving, Summary, value_of
from training.evaluation.statistics import Estimate

Cell = str | int | float | None
SAVING_COLUMNS = (
    "codec",
    "metric",
    "kind",
    "percent",
    "low",
    "high",
    "overlap",
    "quality_low",
    "quality_high",
    "reason",
)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def scores_csv(summary: Summary) -> str:
    """Return a row for each clip at each operating point."""
    head = ["clip", "kind", "language", "seconds", "sample_rate", "channels", "codec", "bitrate_kbps", "num_bytes"]
    rates = ["measured_kbps", "encode_realtime", "decode_realtime"]
    rows: list[list[Cell]] = []
    for point in summary.points:
        for score in point.scores:
            clip = score.clip
            row: list[Cell] = [clip.name, clip.kind, clip.language, clip.seconds, clip.sample_rate, clip.channels]
            row += [score.codec, score.bitrate_kbps, score.num_bytes]
            row += [score.measured_kbps, score.encode_realtime, score.decode_realtime]
            row += [value_of(score, metric) for metric in summary.metrics]
            row.append("; ".join(f"{name}: {reason}" for name, reason in sorted(score.undefined.items())))
            rows.append(row)
    return _csv([*head, *rates, *summary.metrics, "undefined"], rows)


def summary_csv(summary: Summary) -> str:
    """Return a row for each operating point over the clips of each kind, and of each language of speech."""
    head = ["codec", "bitrate_kbps", "kind", "language", "clips", "measured_kbps", "encode_realtime", "decode_realtime"]
    for metric in summary.metrics:
        head += [metric, f"{metric}_low", f"{metric}_high", f"{metric}_n", f"{metric}_undefined"]
    rows = []
    for point in summary.points:
        for language, found in _groups(point):
            row: list[Cell] = [point.codec, point.bitrate_kbps, point.kind, language, found.clips, found.measured_kbps]
            row += [found.encode_realtime, found.decode_realtime]
            for metric in summary.metrics:
                row += _estimate_cells(found.metrics.get(metric))
            rows.append(row)
    return _csv(head, rows)


def savings_csv(summary: Summary) -> str:
    """Return a row for each BD-rate."""
    rows = [list(_saving_fields(saving).values()) for saving in summary.savings]
    return _csv(SAVING_COLUMNS, rows)


def summary_json(summary: Summary, title: str, notes: Sequence[str]) -> str:
    """Return the whole summary as strict JSON."""
    document = {
        "title": title,
        "anchor": summary.anchor,
        "ours": list(summary.ours),
        "metrics": list(summary.metrics),
        "points": [_point_fields(point) for point in summary.points],
        "paired_tests": [_test_fields(test) for test in summary.tests],
        "bd_rates": [_saving_fields(saving) for saving in summary.savings],
        "notes": list(notes),
    }
    return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _groups(point: Point) -> Iterator[tuple[str, Group]]:
    """Yield all clips of the point, then those of each language."""
    yield "", point.whole
    yield from point.languages.items()


def _point_fields(point: Point) -> dict[str, Any]:
    return {
        "point": point.name,
        "codec": point.codec,
        "bitrate_kbps": point.bitrate_kbps,
        "kind": point.kind,
        **_group_fields(point.whole),
        "languages": {language: _group_fields(group) for language, group in point.languages.items()},
    }


def _group_fields(group: Group) -> dict[str, Any]:
    return {
        "n": group.clips,
        "seconds": group.seconds,
        "measured_kbps": group.measured_kbps,
        "encode_realtime": group.encode_realtime,
        "decode_realtime": group.decode_realtime,
        "metrics": {name: _estimate_fields(estimate) for name, estimate in group.metrics.items()},
    }


def _estimate_fields(estimate: Estimate) -> dict[str, Any]:
    return {
        "mean": _number(estimate.mean),
        "low": _number(estimate.low),
        "high": _number(estimate.high),
        "n": estimate.count,
        "undefined": estimate.left_out,
    }


def _test_fields(test: PairedTest) -> dict[str, Any]:
    return {
        "metric": test.metric,
        "kind": test.first.kind,
        "first": test.first.name,
        "second": test.second.name,
        "difference": _estimate_fields(test.comparison.difference),
        "p": _number(test.comparison.p_value),
        "p_holm": _number(test.p_holm),
        "significant": test.significant,
    }


def _saving_fields(saving: Saving) -> dict[str, Cell]:
    rate = saving.saving
    return {
        "codec": saving.codec,
        "metric": saving.metric,
        "kind": saving.kind,
        "percent": rate.percent,
        "low": rate.low,
        "high": rate.high,
        "overlap": rate.overlap,
        "quality_low": rate.quality_low,
        "quality_high": rate.quality_high,
        "reason": rate.reason,
    }


def _estimate_cells(estimate: Estimate | None) -> list[Cell]:
    if estimate is None:
        return [None, None, None, 0, 0]
    return [estimate.mean, estimate.low, estimate.high, estimate.count, estimate.left_out]


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _csv(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a CSV file (RFC 4180): None and numbers that aren't finite are empty cells, and no text is a formula."""
    text = io.StringIO()
    writer = csv.writer(text)  # with lines that end in \r\n; else a \r in a name, unquoted, would end one too
    for row in (head, *rows):
        writer.writerow([_csv_cell(cell) for cell in row])
    return text.getvalue()


def _csv_cell(cell: Cell) -> Cell:
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell
    return "" if isinstance(cell, float) and not math.isfinite(cell) else cell
