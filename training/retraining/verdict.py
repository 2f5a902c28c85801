"""The step that decides: candidate and production on the fixed clips and on fresh ones, by the gate's policy.

On the fixed clips the candidate must pass the whole policy. On fresh ones, of which there may be few, it must not be
worse; fewer than the policy's `min_clips` are not judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from codec.package import open_package
from data_pipelines.sources import scan_sources
from registry.registry import Registry
from registry.version import ModelVersion
from training.evaluation.judging import Judgement, judge_candidate, write_judgement
from training.evaluation.policy import Policy, read_policy
from training.retraining.decision import Decision
from training.retraining.page import DECISION_PAGE, write_page
from training.retraining.retraining import Retraining


def judge(retraining: Retraining) -> Decision:
    """Judge the candidate, register it with its reports, and decide."""
    if retraining.decision:
        return retraining.decision
    judgements = _judge(retraining)
    registry = Registry.open()
    production = registry.resolve(retraining.production)
    note = f"retrained from version {production.version}"
    candidate = registry.register(retraining.folder / "package", retraining.settings.model, note=note)
    decision = _decide(retraining, judgements, candidate)
    for clips, judgement in judgements.items():
        report = retraining.folder / f"report-{clips}"
        named = replace(judgement, names=(str(candidate), str(production)))
        write_judgement(named, report, files=[DECISION_PAGE])
        verdicts = {key: one.verdict for key, one in judgements.items()}
        write_page(report / DECISION_PAGE, decision, retraining, retraining.survey, verdicts)
        registry.attach(str(candidate), report, note=f"{judgement.verdict.outcome} against {production}, {clips} clips")
    return retraining.decide(decision)


def _judge(retraining: Retraining) -> dict[str, Judgement]:
    """Judge on the fixed clips and, if there are enough, on the fresh ones."""
    settings = retraining.settings
    policy = read_policy(settings.policy) if settings.policy else Policy()
    judgements = {"fixed": _judge_on(retraining, "fixed", settings.validation, policy)}
    fresh = retraining.folder / "fresh"
    if fresh.is_dir() and len(scan_sources([fresh], allow_empty=True)) >= policy.min_clips:
        judgements["fresh"] = _judge_on(retraining, "fresh", fresh, replace(policy, require_better=None))
    return judgements


def _judge_on(retraining: Retraining, name: str, clips: Path, policy: Policy) -> Judgement:
    """Judge both at the lowest, middle and highest bitrate, and keep the scores."""
    package = retraining.folder / "package"
    rates = open_package(package).config.bitrates_kbps
    chosen = sorted({rates[0], rates[len(rates) // 2], rates[-1]})
    out = retraining.folder / f"evaluation-{name}"
    return judge_candidate(str(package), retraining.production, clips, policy=policy, bitrates_kbps=chosen, out=out)


def _decide(retraining: Retraining, judgements: Mapping[str, Judgement], candidate: ModelVersion) -> Decision:
    promote = all(judgement.verdict.promote for judgement in judgements.values())
    reasons = [
        f"{clips} clips: {reason}"
        for clips, judgement in judgements.items()
        if promote or not judgement.verdict.promote
        for reason in judgement.verdict.reasons
    ]
    if "fresh" not in judgements:
        reasons.append("too few fresh clips to judge by")
    return Decision(
        model=candidate.name,
        outcome="promoted" if promote else "rejected",
        candidate=candidate.version,
        production=retraining.production_number,
        reasons=tuple(reasons),
        folder=retraining.folder,
    )
