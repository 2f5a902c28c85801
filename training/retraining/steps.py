"""The steps up to a candidate, each of which does nothing where it is done already or a decision was made.

    inbox -> shards -> survey -> fine-tuned run from production -> package

A step that finds a reason to go no further makes the decision.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

from codec.config import CodecConfig
from codec.entropy.storage import load_tables
from codec.errors import DataError, RunError
from codec.files import write_text
from codec.package import ENTROPY, open_package
from data_pipelines.build import NothingUsableError, build_files
from data_pipelines.folder import DataFolder
from data_pipelines.index import INDEX_NAME, read_index
from data_pipelines.manifest import MANIFEST_NAME, parse_manifest
from data_pipelines.screening import file_sha256
from data_pipelines.settings import BuildConfig
from data_pipelines.sources import scan_sources
from registry.registry import Registry
from training.entropy import fit_package
from training.export import export_package
from training.retraining.child import only_child, run_nacre
from training.retraining.decision import Decision
from training.retraining.drift import check_drift
from training.retraining.fresh import choose_fresh, write_fresh
from training.retraining.page import DECISION_PAGE, write_page
from training.retraining.retraining import SURVEY, Retraining, promoted_data
from training.retraining.survey import survey
from training.run import Run


def build_shards(retraining: Retraining) -> None:
    """Build the shards of the new audio, without fresh clips and whatever is one of the validation clips.

    If no file can be used, the audio is refused.
    """
    data = retraining.folder / "data"
    if retraining.decision or (data / INDEX_NAME).exists():
        return
    config, settings = _config(retraining), retraining.settings
    fresh = choose_fresh(retraining.files, settings.fresh)
    write_fresh(fresh, config, settings.fresh.seconds, retraining.folder / "fresh")
    clips = [source.path for source in scan_sources([settings.validation])]
    held_out = {file_sha256(clip) for clip in clips} | {file.sha256 for file in fresh}
    build = BuildConfig(sample_rate=config.sample_rate, channels=config.channels, val_percent=0, test_percent=0)
    files = [file.source for file in retraining.files]
    try:
        build_files(files, data, build, held_out=frozenset(held_out), show_progress=True)
    except NothingUsableError as error:
        _refuse(retraining, [str(error)])


def survey_audio(retraining: Retraining) -> None:
    """Measure the new audio, and refuse it where it has moved too far from the validation clips.

    Raises:
        DataError: Less than `limits.min_hours` of it can be used. The retraining is given up: the inbox may grow.
    """
    out = retraining.folder / SURVEY
    if retraining.decision or out.exists():
        return
    settings, config = retraining.settings, _config(retraining)
    folder = DataFolder(str(retraining.folder / "data"))
    hours = read_index(folder)[0].seconds("train") / 3600
    if hours < settings.limits.min_hours:
        shutil.rmtree(retraining.folder)
        raise DataError(
            f"{hours:.2f} h of the new audio can be used, at least {settings.limits.min_hours:g} h are needed "
            "(limits.min_hours)"
        )
    counts, kept = _count_reasons(retraining), _kept_files(retraining)
    rejected = sum(counts.values()) - len(kept) - counts.get("held_out", 0)
    new = survey(kept, config.sample_rate)
    reference = survey([source.path for source in scan_sources([settings.validation])], config.sample_rate)
    checks = check_drift(new, reference, rejected / (rejected + len(kept)), settings.limits)
    facts = {
        "hours": hours,
        "files": counts,
        "new": new.to_json(),
        "reference": reference.to_json(),
        "checks": [check.to_json() for check in checks],
    }
    write_text(out, json.dumps(facts, indent=1) + "\n")
    failed = [check.sentence for check in checks if not check.passed]
    if failed and not settings.allow_drift:
        _refuse(retraining, [*failed, "to train on it all the same: --allow-drift --everything"])


def train(retraining: Retraining) -> None:
    """Fine-tune from production and export.

    Training is a process of its own, for it starts further ranks by running its own command line again.

    Raises:
        RunError: Training failed.
    """
    package, run = retraining.folder / "package", Run(retraining.folder / "run")
    if retraining.decision or package.exists():
        return
    with only_child(retraining.folder / "run.lock") as lock:
        if run.last_checkpoint.exists():
            words = ["--resume", str(run.directory)]
        else:
            # One that was killed before its first checkpoint has nothing to resume.
            shutil.rmtree(run.directory, ignore_errors=True)
            words = ["--run-dir", str(run.directory), *_first_words(retraining)]
        if status := run_nacre(["train", "fit", *words], lock):
            raise RunError(f"training ended with exit status {status}; run the command again to go on")
    _export(retraining, run, package)


def _config(retraining: Retraining) -> CodecConfig:
    return open_package(Registry.open().resolve(retraining.production).directory).config


def _refuse(retraining: Retraining, reasons: list[str]) -> None:
    decision = Decision(
        model=retraining.settings.model,
        outcome="refused",
        candidate=None,
        production=retraining.production_number,
        reasons=tuple(reasons),
        folder=retraining.folder,
    )
    write_page(retraining.folder / DECISION_PAGE, decision, retraining, retraining.survey, {})
    retraining.decide(decision)


def _count_reasons(retraining: Retraining) -> dict[str, int]:
    """Return how many files of the batch were kept, and how many were not by each reason."""
    entries = parse_manifest((retraining.folder / "data" / MANIFEST_NAME).read_text())
    return dict(Counter(entry.reason or "kept" for entry in entries))


def _kept_files(retraining: Retraining) -> list[Path]:
    entries = parse_manifest((retraining.folder / "data" / MANIFEST_NAME).read_text())
    kept = {entry.path for entry in entries if entry.reason is None}
    return [Path(file.path) for file in retraining.files if file.name in kept]


def _first_words(retraining: Retraining) -> list[str]:
    """Return the arguments of a run that begins."""
    settings = retraining.settings
    words = ["--config", str(settings.config.absolute()), "--data.directory", str(retraining.folder / "data")]
    words += ["--init-from", retraining.production, "--trainer.limit_val_batches", "0"]
    if mixed := _mixture(retraining):
        words += ["--data.mixture", json.dumps(mixed)]
    return [*words, *settings.overrides]


def _mixture(retraining: Retraining) -> list[dict[str, object]]:
    """Return the older data sets that are mixed in, each with its weight: a share of `earlier_weight` by its hours."""
    settings = retraining.settings
    mixed: list[dict[str, object]] = [{"directory": one.directory, "weight": one.weight} for one in settings.replay]
    earlier = [folder for folder in promoted_data(settings.model) if (folder / INDEX_NAME).exists()]
    if settings.earlier_weight:
        hours = {folder: read_index(DataFolder(str(folder)))[0].seconds("train") for folder in earlier}
        total = sum(hours.values())
        mixed += [{"directory": str(one), "weight": settings.earlier_weight * hours[one] / total} for one in earlier]
    return mixed


def _export(retraining: Retraining, run: Run, out: Path) -> None:
    """Export the run; when production has entropy tables, with new ones, or the same if they suit the codes better."""
    production = Registry.open().resolve(retraining.production)
    if not open_package(production.directory).has_entropy:
        export_package(run.directory, out, which="last")
        return
    exported = retraining.folder / "exported"
    if not exported.exists():
        export_package(run.directory, exported, which="last")
    tables = load_tables(production.directory / ENTROPY)
    fit_package(exported, str(retraining.folder / "data"), out, rival=tables)
