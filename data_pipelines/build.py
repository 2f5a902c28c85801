"""Build a data set: source files are screened, split, cut into records and written as shards with an index.

The result depends only on the files' names below their sources, their bytes, and the settings: not on the number of
jobs, the file system's order, or how often the build was killed and run again. Until all shards are ready the
folder's old data set stays as it is; the index is removed first and written last, so a folder with an index is whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from codec.errors import DataError
from codec.files import write_bytes, write_text
from data_pipelines.folder import DataFolder
from data_pipelines.index import INDEX_NAME, Index, ShardEntry, index_bytes, index_sha256, read_index
from data_pipelines.manifest import MANIFEST_NAME, ManifestEntry, manifest_text
from data_pipelines.progress import progress_bar
from data_pipelines.screening import REASONS, Verdict, file_sha256, screen_file
from data_pipelines.settings import BuildConfig
from data_pipelines.shards import AcceptedFile, ShardPlan, plan_shards, write_shard
from data_pipelines.sources import SourceFile, scan_sources
from data_pipelines.splits import SPLITS, Split, split_of
from data_pipelines.work import WORK_NAME, Work, open_work
from data_pipelines.workers import Crash, Workers

_SHARD_NAME = re.compile(rf"({'|'.join(SPLITS)})-\d{{6}}\.tar")


class NothingUsableError(DataError):
    """Not one file of a build is fit for use."""


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """What a build did; `resumed_files` and `resumed_shards` were finished by an earlier, interrupted run."""

    files: Mapping[Split, int]
    seconds: Mapping[Split, float]
    rejected: Mapping[str, int]
    index_sha256: str
    resumed_files: int
    resumed_shards: int


def build_dataset(
    sources: Sequence[Path],
    out: Path,
    config: BuildConfig | None = None,
    *,
    held_out: frozenset[str] = frozenset(),
    jobs: int = 1,
    show_progress: bool = False,
) -> BuildReport:
    """Build the data set of all audio below `sources` in `out`, or complete it after an interruption.

    Files whose SHA-256 is in `held_out` are left out: clips that no model may be trained on.
    A script that asks for more than one job needs the `if __name__ == "__main__":` guard, as for any process pool.

    Raises:
        DataError: A source is missing or empty, `out` holds something else or a data set with other settings, another
            build runs there, or not one file is fit for use.
    """
    return build_files(scan_sources(sources), out, config, held_out=held_out, jobs=jobs, show_progress=show_progress)


def build_files(
    files: Sequence[SourceFile],
    out: Path,
    config: BuildConfig | None = None,
    *,
    held_out: frozenset[str] = frozenset(),
    jobs: int = 1,
    show_progress: bool = False,
) -> BuildReport:
    """As `build_dataset`, of these files and no others.

    Raises:
        DataError: As `build_dataset`.
        NothingUsableError: Not one file is fit for use.
    """
    config = config or BuildConfig()
    _check_out(out, config)
    with open_work(out, config) as work:
        verdicts, resumed_files = _screen(files, work, config, jobs, show_progress)
        entries, accepted = _accept(files, verdicts, config, held_out)
        rejected = Counter(entry.reason for entry in entries if entry.reason is not None)
        plans = {split: plan_shards(accepted[split], split, config) for split in SPLITS}
        if not any(plans.values()):
            raise NothingUsableError(_nothing_left(len(files), rejected))
        shards, resumed_shards = _write(plans, work, config, jobs, show_progress)
        index = Index(
            sample_rate=config.sample_rate,
            channels=config.channels,
            build=asdict(config),
            splits={split: tuple(shards[plan] for plan in plans[split]) for split in SPLITS},
        )
        data = index_bytes(index)
        _publish(out, work, list(shards), manifest_text(entries), data)
    return BuildReport(
        files={split: index.num_files(split) for split in SPLITS},
        seconds={split: index.seconds(split) for split in SPLITS},
        rejected=dict(rejected),
        index_sha256=index_sha256(data),
        resumed_files=resumed_files,
        resumed_shards=resumed_shards,
    )


def _check_out(out: Path, config: BuildConfig) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(f"'{out}' is a file: give a folder for --out")
    names = {path.name for path in out.iterdir()}
    if INDEX_NAME not in names:
        if names and WORK_NAME not in names:
            raise DataError(f"'{out}' is not empty and holds no data set: give a new or empty folder for --out")
        return
    built = read_index(DataFolder(str(out)))[0].build
    for name, value in asdict(config).items():
        if built.get(name) != value:
            rule = f"'{out}' was built with {name} {built.get(name)}, this build asks for {value}"
            raise DataError(f"{rule}: give another --out, or delete the folder first")


def _screen(
    files: Sequence[SourceFile], work: Work, config: BuildConfig, jobs: int, show_progress: bool
) -> tuple[dict[SourceFile, Verdict], int]:
    """Return each file's verdict and how many were known already."""
    known = {file: verdict for file in files if (verdict := work.verdict(file)) is not None}
    todo = [file for file in files if file not in known]
    verdicts = dict(known)
    screen = Workers(partial(_screen_source, sample_rate=config.sample_rate, channels=config.channels), jobs)
    with progress_bar("screening", len(todo), "files", shown=show_progress) as advance:
        for file, result in screen.run(todo):
            verdict = _crashed(file) if isinstance(result, Crash) else result
            work.add_verdict(file, verdict)
            verdicts[file] = verdict
            advance()
    return verdicts, len(known)


def _screen_source(file: SourceFile, *, sample_rate: int, channels: int) -> Verdict:
    return screen_file(file.path, sample_rate=sample_rate, channels=channels)


def _crashed(file: SourceFile) -> Verdict:
    """Judge a file that kills the process that decodes it."""
    return Verdict(sha256=file_sha256(file.path), reason="undecodable")


def _accept(
    files: Sequence[SourceFile],
    verdicts: Mapping[SourceFile, Verdict],
    config: BuildConfig,
    held_out: frozenset[str],
) -> tuple[list[ManifestEntry], dict[Split, list[AcceptedFile]]]:
    """Write the manifest's entries and sort the accepted files by split; of equal files the first by name is kept."""
    entries = []
    accepted: dict[Split, list[AcceptedFile]] = {split: [] for split in SPLITS}
    seen: set[str] = set()
    for file in sorted(files, key=lambda file: (file.name, verdicts[file].sha256 or "")):
        verdict = verdicts[file]
        split, reason = None, verdict.reason
        if reason is None:
            assert verdict.sha256 is not None
            if verdict.sha256 in held_out:
                reason = "held_out"
            elif verdict.sha256 in seen:
                reason = "duplicate"
            else:
                seen.add(verdict.sha256)
                split = split_of(verdict.sha256, val_percent=config.val_percent, test_percent=config.test_percent)
                kept = AcceptedFile(source=file, sha256=verdict.sha256, num_samples=verdict.num_samples)
                accepted[split].append(kept)
        entries.append(
            ManifestEntry(
                path=file.name,
                sha256=verdict.sha256,
                seconds=verdict.seconds,
                sample_rate=verdict.sample_rate,
                channels=verdict.channels,
                split=split,
                reason=reason,
            )
        )
    return entries, accepted


def _nothing_left(total: int, rejected: Counter[str]) -> str:
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(rejected.items()))
    commonest = rejected.most_common(1)[0][0]
    return f"none of the {total} audio files can be used ({counts}); {commonest}: {REASONS[commonest]}"


def _write(
    plans: Mapping[Split, Sequence[ShardPlan]], work: Work, config: BuildConfig, jobs: int, show_progress: bool
) -> tuple[dict[ShardPlan, ShardEntry], int]:
    """Write what shards are not finished; return all entries and how many were finished already."""
    every = [plan for split in SPLITS for plan in plans[split]]
    known = {plan: entry for plan in every if (entry := work.shard(plan)) is not None}
    todo = [(plan, work.shard_path(plan)) for plan in every if plan not in known]
    write = Workers(partial(_write_planned, sample_rate=config.sample_rate, channels=config.channels), jobs)
    entries = dict(known)
    with progress_bar("writing", len(todo), "shards", shown=show_progress) as advance:
        try:
            for (plan, _), result in write.run(todo):
                if isinstance(result, Crash):
                    raise DataError(
                        f"the process that wrote {plan.name} died, perhaps for lack of memory: use --jobs 1"
                    )
                work.add_shard(plan, result)
                entries[plan] = result
                advance()
        except DataError:
            work.forget_verdicts()
            raise
    return {plan: entries[plan] for plan in every}, len(known)


def _write_planned(job: tuple[ShardPlan, Path], *, sample_rate: int, channels: int) -> ShardEntry:
    plan, path = job
    return write_shard(plan, path, sample_rate=sample_rate, channels=channels)


def _publish(out: Path, work: Work, plans: Sequence[ShardPlan], manifest: str, index: bytes) -> None:
    """Move the shards into place; the data set is absent from the first step to the last."""
    (out / INDEX_NAME).unlink(missing_ok=True)
    names = {plan.name for plan in plans}
    for path in out.iterdir():
        if _SHARD_NAME.fullmatch(path.name) and path.name not in names:
            path.unlink()
    for plan in plans:
        if work.shard_path(plan).exists():
            work.shard_path(plan).replace(out / plan.name)
    write_text(out / MANIFEST_NAME, manifest)
    write_bytes(out / INDEX_NAME, index)
