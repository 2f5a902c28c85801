"""The files of registered packages, in BentoML's model store: BENTOML_HOME/models/NAME/CONTENT-RANDOM/.

The store alone is not atomic and checks nothing, so a directory in it means nothing by itself: only a row in the
database makes it a version. Each storing gets a tag of its own, so what a killed process left is never in the way.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from codec.errors import PackageError, RegistryError
from codec.files import sync_directory
from codec.home import bentoml_home
from codec.locking import locked

if TYPE_CHECKING:
    from codec.package import Package


class PackageStore:
    """Package directories under tags `NAME:CONTENT-RANDOM`, in the store that BENTOML_HOME names."""

    def __init__(self) -> None:
        self._home = bentoml_home()

    def directory(self, tag: str) -> Path:
        """Return where the package under `tag` lies (or should)."""
        name, _, version = tag.partition(":")
        return self._home / "models" / name / version

    def add(self, package: Package, name: str) -> str:
        """Copy `package` into the store, flush it to disk, hash it again, and return its tag.

        Raises:
            PackageError: What was stored is not what `package` was.
            RegistryError: It can't be stored (no space, no permission).
        """
        tag = f"{name}:{package.content_hash[:12]}-{secrets.token_hex(4)}"
        try:
            self._create(tag, package)
            _flush(self.directory(tag))
            self.verify(self.directory(tag), package.content_hash)
        except OSError as error:
            self.remove(tag)
            raise RegistryError(f"can't store '{package.directory}' in '{self._home}': {error}") from error
        except PackageError:
            self.remove(tag)
            raise
        return tag

    def verify(self, directory: Path, content_hash: str) -> None:
        """Hash every file of a stored package.

        Raises:
            PackageError: A file is missing or altered; the message names it.
        """
        from codec.package import open_package  # it loads NumPy, which listing and naming don't need

        package = open_package(directory)
        if package.content_hash != content_hash:
            raise PackageError(f"'{directory / 'SHA256SUMS'}' is not the one that was registered")

    def remove(self, tag: str) -> None:
        """Remove the directory under `tag`, whole or half, if it is there."""
        shutil.rmtree(self.directory(tag), ignore_errors=True)

    def _create(self, tag: str, package: Package) -> None:
        import bentoml.models  # it takes a second, which only registering should pay
        from bentoml._internal.models import ModelStore  # the public API fixes the home at the first use

        metadata = {"content_hash": package.content_hash, "fingerprint": package.fingerprint}
        with locked(self._home / ".nacre-lock"):
            # BentoML keeps the newest creation here, which nothing of ours reads; reading it before it renews it,
            # BentoML fails on what a killed process left.
            (self.directory(tag).parent / "latest").unlink(missing_ok=True)
            models = ModelStore(self._home / "models")
            with bentoml.models.create(tag, metadata=metadata, _model_store=models) as model:
                for file in package.files:
                    shutil.copyfile(package.directory / file, model.path_of(file))
        # BentoML copies the permissions of its temporary folder: the owner's alone.
        self.directory(tag).chmod(self.directory(tag).parent.stat().st_mode)


def _flush(directory: Path) -> None:
    """Flush a stored package to disk: the row that makes it a version must not survive a power cut alone."""
    for path in directory.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    for folder in (directory, directory.parent, directory.parent.parent):
        sync_directory(folder)
