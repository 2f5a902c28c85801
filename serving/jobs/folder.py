"""A job's folder: its input, its outputs, its result, and what is only there while it is worked on."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from codec.files import TEMPORARY_PREFIX, sync_directory
from serving.jobs.errors import StorageFullError

_WORK_PREFIX = "work-"


@dataclass(frozen=True)
class JobFolder:
    """The places in one job's folder. Names that an owner chose are never among them."""

    path: Path

    @property
    def input(self) -> Path:
        """The upload."""
        return self.path / "input"

    @property
    def outputs(self) -> Path:
        """Where each file's output is."""
        return self.path / "outputs"

    @property
    def archive(self) -> Path:
        """The result of an archive."""
        return self.path / "result.zip"

    def output(self, number: int) -> Path:
        """Return the place of file `number`'s output."""
        return self.outputs / f"{number:06d}"

    def work(self, holder: str) -> Path:
        """Return the place for what `holder` unpacks."""
        return self.path / f"{_WORK_PREFIX}{holder}"

    def prepare(self) -> None:
        """Make it ready for work: remove what earlier holders left half done."""
        self._clear_work()
        self.outputs.mkdir(exist_ok=True)
        sync_directory(self.path)

    def keep_result(self, *, archive: bool) -> None:
        """Remove what isn't the result of a job that is done."""
        self.input.unlink(missing_ok=True)
        self._clear_work()
        if archive:
            shutil.rmtree(self.outputs, ignore_errors=True)

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _clear_work(self) -> None:
        for left in self.path.glob(f"{_WORK_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
        for folder in (self.path, self.outputs):
            for temporary in folder.glob(f"{TEMPORARY_PREFIX}*"):
                temporary.unlink(missing_ok=True)


def check_room(folder: Path, least_bytes: int, wanted_bytes: int = 0) -> None:
    """Check that `wanted_bytes` fit on the disk of `folder` and leave `least_bytes` free.

    Raises:
        StorageFullError: They don't.
    """
    if shutil.disk_usage(folder).free < least_bytes + wanted_bytes:
        raise StorageFullError("the service's disk is full: try again later, or send less at once")
