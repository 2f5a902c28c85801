"""Judge a candidate by the gate: both models on the same clips at the same bitrates, in turn, then the policy.

A judgement can be written down as a report, which the registry keeps with the candidate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from codec.errors import DataError
from codec.files import write_text
from codec.home import nacre_home
from training.evaluation.card import write_card
from training.evaluation.clips import find_clips
from training.evaluation.codecs.nacre import NacrePoint
from training.evaluation.gate import Verdict, facts_of, judge
from training.evaluation.models import model_points
from training.evaluation.policy import Policy, read_policy
from training.evaluation.report.write import write_report
from training.evaluation.run import Task, evaluate
from training.evaluation.scores import Score

VERDICT = "verdict.json"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """A verdict on the package in `directory`, with both sides' names and scores, and what was left out of them."""

    verdict: Verdict
    directory: Path
    names: tuple[str, str]
    candidate: tuple[Score, ...]
    production: tuple[Score, ...]
    notes: tuple[str, ...]


def judge_candidate(
    candidate: str,
    production: str,
    clips: Path,
    *,
    policy: Path | Policy | None = None,
    bitrates_kbps: Sequence[float] = (),
    out: Path | None = None,
) -> Judgement:
    """Judge whether the model `candidate` may replace `production`; both are a package folder or a registered name.

    `policy` is one, or a YAML as configs/gate.yaml; without bitrates, all of a spread that both have. Scores are kept
    in `out`, or under NACRE_HOME/evaluations.

    Raises:
        DataError: There are no clips, or the models have no bitrate in common.
        RunError: The policy is damaged, or another evaluation runs in `out`.
        PackageError: One is no package.
        UnknownModelError: One is not registered.
    """
    rules = read_policy(policy) if isinstance(policy, Path) else policy or Policy()
    new, old = (model_points(name, bitrates_kbps) for name in (candidate, production))
    pairs = [(ours, theirs) for ours in new for theirs in old if ours.bitrate_kbps == theirs.bitrate_kbps]
    if not pairs:
        raise DataError(f"'{candidate}' and '{production}' have no bitrate in common: give --bitrate-kbps")
    # The two take turns, so that both meet the same machine.
    tasks: list[Task] = [(file, point) for file in find_clips(clips) for pair in pairs for point in pair]
    results = evaluate(tasks, out or _place(new[0], old[0]))
    ours, theirs = (tuple(score for score in results.by_task[side::2] if score is not None) for side in (0, 1))
    verdict = judge(ours, theirs, rules, facts_of(new[0].directory), facts_of(old[0].directory))
    names = (new[0].codec, old[0].codec)
    return Judgement(
        verdict=verdict,
        directory=new[0].directory,
        names=names if names[0] != names[1] else (candidate, production),
        candidate=ours,
        production=theirs,
        notes=results.notes,
    )


def write_judgement(judgement: Judgement, out: Path, *, files: Sequence[str] = ()) -> None:
    """Write a report of both sides, the verdict, and the candidate's card into `out`.

    `files` are names of what else will be in the folder and belongs to the card.
    """
    candidate, production = judgement.names
    sides = ((judgement.candidate, candidate), (judgement.production, production))
    scores = [replace(score, codec=name) for side, name in sides for score in side]
    title = f"{candidate} against {production}: {judgement.verdict.outcome}"
    written = write_report(out, scores, anchor=production, title=title, notes=judgement.notes, ours=[candidate])
    write_text(out / VERDICT, judgement.verdict.to_json())
    curves = [path.name for path in written.curves.values()]
    write_card(
        out, candidate, judgement.directory, scores, curves=curves, files=[written.summary_json.name, VERDICT, *files]
    )


def _place(candidate: NacrePoint, production: NacrePoint) -> Path:
    both = hashlib.sha256(f"{candidate.content_hash} {production.content_hash}".encode()).hexdigest()
    return nacre_home() / "evaluations" / both[:16]
