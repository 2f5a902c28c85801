"""One retraining: new audio becomes a better model in production, or doesn't, with the reason.

    inbox -> shards -> fine-tuned run from production -> package -> comparison -> registered, with the comparison's
    report -> promoted or rejected

Its folder under NACRE_HOME/retrain is named by the content of the inbox, of the validation clips and of the training
configuration. So the same request is the same folder: after a kill it goes on where it stopped, from the production
version it began with; and what was decided is not trained again. The decision is written before it is carried out.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from codec.config import CodecConfig
from codec.entropy.storage import load_tables
from codec.errors import DataError, RunError
from codec.files import write_text
from codec.home import nacre_home
from codec.locking import locked
from codec.package import ENTROPY, Package, open_package
from data_pipelines.build import build_dataset
from data_pipelines.index import INDEX_NAME
from data_pipelines.settings import BuildConfig
from data_pipelines.sources import scan_sources
from registry.reference import ModelReference
from registry.registry import Registry
from registry.version import ModelVersion
from training.entropy import fit_package
from training.evaluation.judging import Judgement, judge_candidate, write_judgement
from training.export import export_package
from training.run import Run

PRODUCTION = "production"
CANDIDATE = "candidate"


@dataclass(frozen=True, kw_only=True)
class RetrainRequest:
    """What to retrain, on what, and how to judge it.

    `model` is a registered name with a production version; `config` a training YAML for the same architecture, with
    `overrides` as further `nacre train fit` arguments; `validation` a folder of fixed clips, never trained on; `policy`
    a YAML of what the candidate must show, the gate's own if None.
    """

    model: str
    inbox: Path
    validation: Path
    config: Path
    policy: Path | None = None
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Decision:
    """How a retraining ended: `candidate` and `production` are versions of `model`, the latter as it was before."""

    model: str
    candidate: int
    production: int
    promoted: bool
    reasons: tuple[str, ...]
    folder: Path


def retrain_once(request: RetrainRequest) -> Decision:
    """Retrain, compare and decide; a request that was decided before returns that decision.

    Raises:
        UnknownModelError: The model has no production version.
        DataError: The inbox or the validation folder is missing, empty or unusable.
        RunError: Training failed, or another retraining is running.
        ConflictError: Production moved since this retraining began.
    """
    lock = nacre_home() / "retrain" / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with locked(lock, RunError("another retraining is running: wait for it, then run this again")):
        registry = Registry.open()
        clips = [source.path for source in scan_sources([request.validation])]
        folder = nacre_home() / "retrain" / f"{request.model}-{_key(request, clips)}"
        production = _starting_version(request.model, registry, folder)
        decided = folder / "decision.json"
        if not decided.exists():
            decision = _decide(request, registry, production, clips, folder)
            write_text(decided, json.dumps(asdict(decision), indent=2, default=str) + "\n")
        decision = _read_decision(decided)
        _carry_out(decision, registry)
        return decision


def _starting_version(model: str, registry: Registry, folder: Path) -> ModelVersion:
    """Return the version that was in production when this retraining began."""
    note = folder / "production.txt"
    if note.exists():
        return registry.resolve(note.read_text())
    production = registry.resolve(ModelReference(name=model, alias=PRODUCTION))
    write_text(note, str(production))
    return production


def _decide(
    request: RetrainRequest, registry: Registry, production: ModelVersion, clips: Sequence[Path], folder: Path
) -> Decision:
    config = open_package(production.directory).config
    _build_shards(request, config, clips, folder / "data")
    package = _train(request, production, folder)
    judgement = _compare(request, package, production, folder)
    verdict = judgement.verdict
    candidate = registry.register(package.directory, request.model, note=f"retrained from version {production.version}")
    named = replace(judgement, names=(str(candidate), str(production)))
    write_judgement(named, folder / "report")
    registry.attach(str(candidate), folder / "report", note=f"{verdict.outcome} against {production}")
    return Decision(
        model=request.model,
        candidate=candidate.version,
        production=production.version,
        promoted=verdict.promote,
        reasons=verdict.reasons,
        folder=folder,
    )


def _carry_out(decision: Decision, registry: Registry) -> None:
    """Move the aliases; what is where it belongs already stays.

    Raises:
        ConflictError: Production moved since this retraining began.
    """
    name, why = f"{decision.model}:{decision.candidate}", "; ".join(decision.reasons)
    history = [change for change in registry.history(decision.model) if change.version == decision.candidate]
    if not any(change.alias == CANDIDATE for change in history):
        registry.promote(name, CANDIDATE, why=why)
    if decision.promoted and not any(change.alias == PRODUCTION for change in history):
        registry.promote(name, PRODUCTION, expect=decision.production, why=f"retrained: {why}")


def _build_shards(request: RetrainRequest, config: CodecConfig, clips: Sequence[Path], out: Path) -> None:
    """Build the inbox's shards, all for training, without whatever is one of the validation clips."""
    if (out / INDEX_NAME).exists():
        return
    settings = BuildConfig(sample_rate=config.sample_rate, channels=config.channels, val_percent=0, test_percent=0)
    held_out = frozenset(_sha256(clip) for clip in clips)
    build_dataset([request.inbox], out, settings, held_out=held_out, show_progress=True)


def _train(request: RetrainRequest, production: ModelVersion, folder: Path) -> Package:
    """Fine-tune from production and export; what is done already is not repeated.

    Training is a process of its own, for it starts further ranks by running its own command line again.
    """
    package, run = folder / "package", Run(folder / "run")
    if package.exists():
        return open_package(package)
    start = ("--resume", str(run.directory)) if run.last_checkpoint.exists() else ("--run-dir", str(run.directory))
    words = ["train", "fit", *start]
    if "--run-dir" in start:
        _remove_unstarted(run)
        words += ["--config", str(request.config), "--data.directory", str(folder / "data")]
        words += ["--init-from", str(production), "--trainer.limit_val_batches", "0"]
        words += request.overrides
    result = subprocess.run([sys.executable, "-m", "nacre", *words], stdout=sys.stderr, check=False)
    if result.returncode:
        raise RunError(f"training ended with exit status {result.returncode}; run the command again to go on")
    return _export(run, production, folder, package)


def _export(run: Run, production: ModelVersion, folder: Path, out: Path) -> Package:
    """Export the run; when production has entropy tables, with new ones, or the same if they suit the codes better."""
    if not open_package(production.directory).has_entropy:
        return export_package(run.directory, out, which="last")
    exported = folder / "exported"
    if not exported.exists():
        export_package(run.directory, exported, which="last")
    tables = load_tables(production.directory / ENTROPY)
    return fit_package(exported, str(folder / "data"), out, rival=tables)


def _remove_unstarted(run: Run) -> None:
    """Remove a run that was killed before its first checkpoint: there is nothing to resume."""
    shutil.rmtree(run.directory, ignore_errors=True)


def _compare(request: RetrainRequest, package: Package, production: ModelVersion, folder: Path) -> Judgement:
    """Judge both at the lowest, middle and highest bitrate by the policy, and keep the scores."""
    rates = package.config.bitrates_kbps
    chosen = sorted({rates[0], rates[len(rates) // 2], rates[-1]})
    return judge_candidate(
        str(package.directory),
        str(production),
        request.validation,
        policy=request.policy,
        bitrates_kbps=chosen,
        out=folder / "evaluation",
    )


def _key(request: RetrainRequest, clips: Sequence[Path]) -> str:
    """Hash the content of the request."""
    if not request.config.is_file():
        raise RunError(f"there is no training configuration '{request.config}'")
    inbox = [f"{source.name} {_sha256(source.path)}" for source in scan_sources([request.inbox])]
    parts = [
        *sorted(inbox),
        *sorted(_sha256(clip) for clip in clips),
        _sha256(request.config),
        *([_sha256(request.policy)] if request.policy else []),
        *request.overrides,
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _read_decision(path: Path) -> Decision:
    data = json.loads(path.read_text())
    return Decision(**data | {"reasons": tuple(data["reasons"]), "folder": Path(data["folder"])})


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"'{path}' can't be read ({error.strerror})") from None
