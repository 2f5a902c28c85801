"""The work folder of a build, `DIR/.work/`: what is already done, so that a killed build goes on where it was.

    lock                         held while a build runs
    <settings>/verdicts.jsonl    one line for each screened file, with the size and time it had then
    <settings>/<shard>.<plan>.tar and .json     finished shards and their index entries, named by what is in them

Verdicts are trusted while a file's size and time stand still; shards hash every file again. A torn last line, or
anything unreadable, only costs the work it stood for. The folder is removed when the data set is complete.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from codec.errors import DataError
from codec.files import write_text
from codec.locking import locked
from data_pipelines.index import ShardEntry, shard_entry
from data_pipelines.screening import Verdict, file_sha256
from data_pipelines.settings import BuildConfig
from data_pipelines.shards import ShardPlan
from data_pipelines.sources import SourceFile

WORK_NAME = ".work"
# Raise this when screening or the shards' layout changes, so that an older release's leftovers are not used.
VERSION = 2
# Reasons that the user can mend without touching the file.
PASSING_REASONS = frozenset({"unreadable", "needs_m4a_extra"})


class Work:
    """The leftovers and the progress of one build into `out`."""

    def __init__(self, out: Path, config: BuildConfig) -> None:
        settings = json.dumps([VERSION, asdict(config)])
        self._out = out
        self._folder = out / WORK_NAME / hashlib.sha256(settings.encode()).hexdigest()[:16]
        self._folder.mkdir(parents=True, exist_ok=True)
        self._journal = self._folder / "verdicts.jsonl"
        self._verdicts = self._read_journal()
        self._stamps: dict[SourceFile, str] = {}

    def verdict(self, file: SourceFile) -> Verdict | None:
        """Return the verdict on a file that has not changed since; note the file's state for `add_verdict`."""
        self._stamps[file] = _stamp(file.path)
        return self._verdicts.get(self._stamps[file])

    def add_verdict(self, file: SourceFile, verdict: Verdict) -> None:
        """Keep a verdict on the file as it was when `verdict()` was asked."""
        if verdict.reason in PASSING_REASONS:
            return
        line = json.dumps([self._stamps[file], asdict(verdict)])
        with self._journal.open("a") as journal:
            journal.write(f"{line}\n")

    def forget_verdicts(self) -> None:
        """Drop all verdicts: one of them was wrong about its file."""
        self._journal.unlink(missing_ok=True)

    def shard_path(self, plan: ShardPlan) -> Path:
        """Return where the shard is built."""
        return self._folder / f"{plan.name.removesuffix('.tar')}.{plan.digest[:16]}.tar"

    def add_shard(self, plan: ShardPlan, entry: ShardEntry) -> None:
        """Keep a finished shard's entry."""
        write_text(self.shard_path(plan).with_suffix(".json"), json.dumps(asdict(entry)))

    def shard(self, plan: ShardPlan) -> ShardEntry | None:
        """Return the entry of a shard that is finished: here, or already moved to the data folder."""
        path = self.shard_path(plan)
        try:
            entry = shard_entry(json.loads(path.with_suffix(".json").read_text()))
            place = path if path.exists() else self._out / plan.name
            return entry if file_sha256(place) == entry.sha256 else None
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _read_journal(self) -> dict[str, Verdict]:
        if not self._journal.exists():
            return {}
        verdicts = {}
        text = self._journal.read_text(errors="replace")
        for line in text.splitlines():
            try:
                stamp, fields = json.loads(line)
                verdicts[str(stamp)] = Verdict(**fields)
            except (ValueError, TypeError):
                continue
        if text and not text.endswith("\n"):
            with self._journal.open("a") as journal:
                journal.write("\n")
        return verdicts


@contextmanager
def open_work(out: Path, config: BuildConfig) -> Iterator[Work]:
    """Open the work folder of `out` for one build at a time; it is removed when the block ends well.

    Raises:
        DataError: Another build into `out` is running.
    """
    folder = out / WORK_NAME
    folder.mkdir(parents=True, exist_ok=True)
    busy = DataError(f"another build into '{out}' is running: wait for it, or give another --out")
    with locked(folder / "lock", busy):
        yield Work(out, config)
        shutil.rmtree(folder)


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{path}|{status.st_size}|{status.st_mtime_ns}"
