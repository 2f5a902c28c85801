"""The page of a decision: what was new, how it differs, how training went, what the gate said; one HTML file."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from codec.errors import RunError
from codec.files import write_text
from training.curves import draw_curves
from training.evaluation.gate import Verdict
from training.evaluation.report.html import POLICY
from training.evaluation.report.parts import NONE, Cell, Row, table
from training.evaluation.report.style import SCRIPT, STYLE
from training.retraining.decision import Decision
from training.retraining.retraining import Retraining

DECISION_PAGE = "decision.html"
STYLES = {"promoted": "good", "passed": "good", "rejected": "bad", "failed": "bad", "refused": "bad"}


def write_page(
    path: Path, decision: Decision, retraining: Retraining, survey: Mapping[str, Any], verdicts: Mapping[str, Verdict]
) -> None:
    """Write the page to `path`; `survey` is what survey.json holds, `verdicts` those of each set of clips."""
    title = f"{decision.model}: {decision.outcome}"
    sections = [
        ("Why", _list(decision.reasons)),
        ("The new audio", _audio(retraining, survey)),
        ("Beside the validation clips", _drift(survey)),
        ("Training", _curves(retraining)),
        *((f"The gate on the {clips} clips", _checks(clips, verdict)) for clips, verdict in verdicts.items()),
    ]
    body = "\n".join(f"<section><h2>{escape(heading)}</h2>{content}</section>" for heading, content in sections)
    write_text(
        path,
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><header><h1>{escape(title)}</h1>"
        f'<p class="soft">{escape(_subject(decision))}</p></header><main>{body}</main>'
        f"<script>{SCRIPT}</script></body></html>\n",
    )


def _subject(decision: Decision) -> str:
    if decision.candidate is None:
        return f"New audio for {decision.model}, in production as version {decision.production}, was not trained on."
    return f"Candidate {decision.model}:{decision.candidate} against production, version {decision.production}."


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"


def _audio(retraining: Retraining, survey: Mapping[str, Any]) -> str:
    counts: Mapping[str, int] = survey.get("files", {})
    rows = [Row(head=escape(name), key=name, cells=[_number(count)]) for name, count in sorted(counts.items())]
    hours = f"{survey['hours']:.2f} h to train on. " if "hours" in survey else ""
    text = f'<p class="soft">{hours}{len(retraining.files)} files from {escape(str(retraining.settings.inbox))}.</p>'
    return text + (table("Files of the new audio", [("Files", ""), ("How many", "")], rows) if rows else "")


def _drift(survey: Mapping[str, Any]) -> str:
    rows = [
        Row(
            head=escape(check["name"]),
            key=check["name"],
            cells=[
                _number(check["value"]),
                Cell(html=NONE, value="") if check["reference"] is None else _number(check["reference"]),
                _number(check["limit"]),
                Cell(html=escape(check["unit"]), style="left"),
                _outcome("passed" if check["passed"] else "refused"),
            ],
        )
        for check in survey.get("checks", ())
    ]
    columns = [(name, "") for name in ("Measure", "New", "Clips", "Limit", "Unit", "Outcome")]
    return table("Drift of the new audio", columns, rows) if rows else "<p>It was not measured.</p>"


def _curves(retraining: Retraining) -> str:
    run = retraining.folder / "run"
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "curves.png"
        try:
            draw_curves([run], picture)
        except RunError as error:
            return f"<p>No curves: {escape(str(error))}.</p>"
        data = base64.b64encode(picture.read_bytes()).decode()
    return f'<img src="data:image/png;base64,{data}" alt="Curves of the training run" style="max-width:100%">'


def _checks(clips: str, verdict: Verdict) -> str:
    rows = [
        Row(
            head=escape(check.name),
            key=check.name,
            cells=[_outcome(check.outcome), Cell(html=escape(check.sentence), style="left")],
        )
        for check in verdict.checks
    ]
    return table(f"Checks on the {clips} clips", [("Check", ""), ("Outcome", ""), ("What was found", "")], rows)


def _outcome(word: str) -> Cell:
    return Cell(html=f'<span class="{STYLES.get(word, "soft")}">{escape(word)}</span>', value=word, style="left")


def _number(value: float) -> Cell:
    return Cell(html=json.dumps(value) if isinstance(value, int) else f"{value:.2f}", value=value)
