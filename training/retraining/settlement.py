"""What follows from a decision: aliases move, whoever asked is told, and what nobody needs any more is removed."""

from __future__ import annotations

import shutil

from data_pipelines.index import INDEX_NAME
from registry.registry import Registry
from training.retraining.decision import Decision
from training.retraining.notice import tell_decision, was_told
from training.retraining.retraining import PRODUCTION, superseded
from training.retraining.settings import RetrainSettings

CANDIDATE = "candidate"
WORK = ("exported", "package", "evaluation-fixed", "evaluation-fresh", "run/checkpoints")


def settle(decision: Decision, settings: RetrainSettings) -> None:
    """Carry out a decision; what was done of it before is not done again.

    Raises:
        ConflictError: Production moved since this retraining began.
    """
    if not was_told(decision):  # else they were moved before, even if the registry has forgotten it with its database
        _move_aliases(decision)
    tell_decision(decision, settings.notify)
    _tidy(decision)


def _move_aliases(decision: Decision) -> None:
    if decision.candidate is None:
        return
    registry = Registry.open()
    name, why = f"{decision.model}:{decision.candidate}", "; ".join(decision.reasons)
    history = [change for change in registry.history(decision.model) if change.version == decision.candidate]
    if not any(change.alias == CANDIDATE for change in history):
        registry.promote(name, CANDIDATE, why=why)
    if decision.promoted and not any(change.alias == PRODUCTION for change in history):
        registry.promote(name, PRODUCTION, expect=decision.production, why=f"retrained: {why}")


def _tidy(decision: Decision) -> None:
    """Remove checkpoints and packages, the shards of audio that is not trained on again, and what this one overtook."""
    for folder in superseded(decision):
        shutil.rmtree(folder, ignore_errors=True)
    for name in WORK:
        shutil.rmtree(decision.folder / name, ignore_errors=True)
    if not decision.promoted:
        shutil.rmtree(decision.folder / "fresh", ignore_errors=True)
        for path in (decision.folder / "data" / INDEX_NAME, *(decision.folder / "data").glob("*.tar")):
            path.unlink(missing_ok=True)
