"""The model card: what a model is, what it is for and what not, from its package and its evaluation.

It is Markdown; a .json of the same name tells the registry which package it is about and which files belong to it
(registry/card.py). What was measured is stated, what wasn't is named: a kind of audio without clips is a limit of the
card, not a claim.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codec.files import write_text
from codec.package import open_package
from data_pipelines.licences import FetchedPackage
from registry.card import FORMAT, MAX_SENTENCE, MAX_USES, VERSION
from training.evaluation.metric_table import METRIC_TABLE
from training.evaluation.report.parts import counted
from training.evaluation.scores import Score
from training.evaluation.statistics import by_bitrate, compare_points, estimate_mean

KINDS = ("speech", "music", "sound")
SHOWN = ("pesq", "stoi", "visqol_speech", "visqol_audio", "distillmos", "mel_distance")
MAX_LANGUAGES = 12
# What a kind's one sentence is about: the first that was measured.
HEADLINES = ("pesq", "visqol_speech", "visqol_audio", "stoi", "mel_distance")
# A difference counts as one at this level, unadjusted: the report has the adjusted ones.
LEVEL = 0.05


def write_card(
    out: Path,
    name: str,
    directory: Path,
    scores: Sequence[Score],
    *,
    curves: Sequence[str] = (),
    files: Sequence[str] = (),
    sources: Sequence[FetchedPackage] = (),
    licence: str = "",
) -> None:
    """Write the card of the model `name` in the package `directory` into the folder `out`, as card-NAME.md and .json.

    `scores` are the whole evaluation's, other codecs' included; `curves` names of pictures beside the card, and `files`
    of what else belongs to it; `sources` what it was trained on; `licence` says what may be done with its weights.

    Raises:
        PackageError: The directory is no package.
    """
    package = open_package(directory)
    config = package.config
    own = [score for score in scores if score.codec == name]
    uses = _uses(own)
    size_mb = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 1e6
    rates = ", ".join(f"{rate:g}" for rate in config.bitrates_kbps)
    lines = [
        f"# {name}",
        "",
        f"A neural audio codec of the `{config.family}` family: {config.sample_rate} Hz, {config.channels} channel(s), "
        f"{config.frame_rate:g} frames a second, {rates} kbps. {size_mb:.1f} MB, fingerprint `{package.fingerprint}`.",
        "",
        "## What it is for",
        "",
        *([f"- {use}" for use in uses] or ["- it was not measured on any clip"]),
        "",
        "## How well",
        "",
        *_table(own),
        *(f"\n![{curve}]({curve})" for curve in curves),
        "",
        "## Beside other codecs",
        "",
        *_comparisons(own, [score for score in scores if score.codec != name]),
        "",
        "## Limits",
        "",
        *_limits(own),
        "",
        "## Data and licences",
        "",
        f"Licence of the weights: {licence or 'not stated; ask whoever made the model'}",
        "",
        *_sources(sources),
        *_lineage(package.lineage),
        "",
    ]
    card = out / f"card-{re.sub(r'[^A-Za-z0-9._-]', '-', name)[:100]}.md"
    about = {"format": FORMAT, "version": VERSION, "content_hash": package.content_hash, "uses": uses}
    about |= {"card": card.name, "files": [*curves, *files]}
    write_text(card, "\n".join(lines))
    write_text(card.with_suffix(".json"), json.dumps(about, indent=2) + "\n")


def _uses(scores: Sequence[Score]) -> list[str]:
    """Return for each kind of audio a sentence: how well the model does at its ends of bitrate, and on how much."""
    lines = []
    for kind in sorted({score.clip.kind for score in scores}):
        clips = {score.clip for score in scores if score.clip.kind == kind}
        languages = sorted({clip.language for clip in clips if clip.language})
        shown = [*languages[:MAX_LANGUAGES], *(["..."] if len(languages) > MAX_LANGUAGES else [])]
        spoken = f" ({', '.join(shown)})" if shown else ""
        seconds = sum(clip.seconds for clip in clips)
        found = _headline([score for score in scores if score.clip.kind == kind])
        line = f"{kind}{spoken}: {found}, on {counted(len(clips), 'clip')}, {seconds:.0f} s in all"
        # A manifest may call kinds whatever it likes.
        lines.append("".join(c if c.isprintable() else "?" for c in line)[:MAX_SENTENCE])
    return lines[:MAX_USES]


def _headline(scores: Sequence[Score]) -> str:
    """Return the first known metric at the lowest and the highest bitrate."""
    groups = list(by_bitrate(scores).values())
    ends = groups if len(groups) == 1 else [groups[0], groups[-1]]
    for name in HEADLINES:
        means = [estimate_mean([score.metrics.get(name, math.nan) for score in group]).mean for group in ends]
        if all(math.isfinite(mean) for mean in means):
            values = [
                f"{METRIC_TABLE[name].format(mean)} at {_measured_kbps(group):.2f} kbps"
                for mean, group in zip(means, ends, strict=True)
            ]
            return f"{METRIC_TABLE[name].label} {' to '.join(values)}"
    return "no metric has a value"


def _measured_kbps(scores: Sequence[Score]) -> float:
    return sum(score.num_bytes for score in scores) * 8 / 1000 / sum(score.clip.seconds for score in scores)


def _table(scores: Sequence[Score]) -> list[str]:
    """Return a table with a row for each kind of audio and bitrate: means and their 95% intervals."""
    names = [name for name in SHOWN if any(name in score.metrics for score in scores)]
    titles = ["kind", "kbps, nominal", "kbps, measured", *(METRIC_TABLE[name].title for name in names)]
    lines = [_row(titles), _row(["---"] * len(titles))]
    for kind in sorted({score.clip.kind for score in scores}):
        for bitrate, group in by_bitrate([score for score in scores if score.clip.kind == kind]).items():
            cells = [_cell(group, name) for name in names]
            lines.append(_row([kind, f"{bitrate or 0:g}", f"{_measured_kbps(group):.2f}", *cells]))
    return lines


def _cell(group: Sequence[Score], name: str) -> str:
    estimate = estimate_mean([score.metrics[name] for score in group if name in score.metrics])
    if not estimate.count:
        return "-"
    shown = METRIC_TABLE[name].format
    return f"{shown(estimate.mean)} ({shown(estimate.low)} to {shown(estimate.high)})"


def _comparisons(own: Sequence[Score], others: Sequence[Score]) -> list[str]:
    """Return a sentence for each bitrate and kind: who is better by what, beside the codec of the next bitrate."""
    lines = []
    for kind in sorted({score.clip.kind for score in own}):
        peers = [score for score in others if score.clip.kind == kind and score.bitrate_kbps is not None]
        for bitrate, group in by_bitrate([score for score in own if score.clip.kind == kind]).items():
            above = {
                s.point: s.bitrate_kbps for s in peers if s.bitrate_kbps and s.bitrate_kbps >= (bitrate or 0) * 0.95
            }
            if above:
                peer = min(above, key=lambda point: (above[point], point))
                lines.append(_comparison(kind, group, [score for score in peers if score.point == peer]))
    return lines or ["- it was not compared with other codecs"]


def _comparison(kind: str, own: Sequence[Score], peer: Sequence[Score]) -> str:
    words: dict[str, list[str]] = {"better": [], "worse": [], "level": []}
    for name in SHOWN:
        if not (any(name in s.metrics for s in own) and any(name in s.metrics for s in peer)):
            continue
        compared = compare_points(own, peer, name)
        sign = -1 if METRIC_TABLE[name].better == "lower" else 1
        decided = compared.p_value < LEVEL
        word = "level" if not decided else "better" if sign * compared.difference.mean > 0 else "worse"
        words[word].append(METRIC_TABLE[name].label)
    found = "; ".join(f"{word} by {', '.join(names)}" for word, names in words.items() if names)
    return f"- {kind}: {own[0].point} beside {peer[0].point}: {found or 'no metric in common'}"


def _limits(scores: Sequence[Score]) -> list[str]:
    measured = {score.clip.kind for score in scores}
    lines = [f"- {kind}: not measured, so not claimed" for kind in KINDS if kind not in measured]
    undefined = sorted({f"{name} of '{s.clip.name}': {why}" for s in scores for name, why in s.undefined.items()})
    lines += [f"- without a score: {sentence}" for sentence in undefined[:20]]
    return [*lines, "- metrics don't replace ears: see what each is bad at in the report"]


def _sources(sources: Sequence[FetchedPackage]) -> list[str]:
    """Return a table of the audio that it was trained on, with its licences."""
    if not sources:
        return [
            "Sources and licences are those of the data set whose index is named below; they weren't given here.",
            "",
        ]
    rows = [[source.name, source.kind, f"{source.seconds / 60:.0f}", source.licence] for source in sources]
    return [_row(cells) for cells in (["source", "kind", "minutes", "licence"], ["---"] * 4, *rows)] + [""]


def _lineage(lineage: dict[str, Any]) -> list[str]:
    """Return what the package says of its training."""
    return ["```json", json.dumps(lineage, indent=2, sort_keys=True), "```"]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
