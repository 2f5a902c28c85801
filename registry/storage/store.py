"""The files of registered packages, in BentoML's model store: BENTOML_HOME/models/NAME/CONTENT-RANDOM/.

The store alone is not atomic and checks nothing, so a directory in it means nothing by itself: only a row in the
database makes it a version. Each storing gets a tag of its own, so what a killed process left is never in the way.
Where machines share a store (shared_store.py), each version is there too, and fetched where it is asked for.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from codec.errors import PackageError, RegistryError
from codec.files import sync_directory
from codec.home import bentoml_home
from codec.locking import locked
from registry.storage.folders import flush_folder, new_name, remove_folder
from registry.storage.local_store import LocalStore
from registry.storage.manifest import package_manifest
from registry.storage.shared_store import ManifestAt, SharedStore
from registry.storage.unfinished import unfinished

if TYPE_CHECKING:
    from codec.package import Package


class PackageStore:
    """Package directories under tags `NAME:CONTENT-RANDOM`, in the store that BENTOML_HOME names."""

    def __init__(self) -> None:
        self._home = bentoml_home()
        self._here = LocalStore(self._home / "models", parents="*/")
        self._shared = SharedStore(self._home / "models", damage=PackageError)

    @property
    def sides(self) -> tuple[LocalStore, SharedStore]:
        """Where the packages lie: on this machine, and on all, if machines share a store."""
        return self._here, self._shared

    def directory(self, tag: str) -> Path:
        """Return where the package under `tag` lies (or should)."""
        name, _, version = tag.partition(":")
        return self._home / "models" / name / version

    @contextlib.contextmanager
    def adding(self, package: Package, name: str) -> Iterator[str]:
        """Copy `package` into the store, flush it to disk, hash it again, and yield its tag, to commit its row.

        A shared store gets it too, and is read again.

        Raises:
            PackageError: What was stored is not what `package` was.
            RegistryError: It can't be stored (no space, no permission, no network).
            MissingToolError: The shared store needs a package that is not installed.
        """
        tag = f"{name}:{new_name(package.content_hash)}"
        directory = self.directory(tag)
        with unfinished(directory):
            self._add(package, tag)
            with self._shared.adding(directory, _manifest_of(package.content_hash)):
                yield tag

    def get(self, directory: Path, content_hash: str) -> None:
        """Hash every file of a stored package, which is fetched from the shared store first if it is not here.

        Raises:
            PackageError: A file is missing or altered; the message names it.
            RegistryError: It can't be fetched.
            MissingToolError: The shared store needs a package that is not installed.
        """
        if not self._shared.is_set and not directory.exists():
            raise PackageError(f"'{directory}' is missing: restore it, or set NACRE_STORE_URL if it is shared")
        self._shared.fetch(directory, _manifest_of(content_hash), complete=_add_bento_facts)
        self._verify_here(directory, content_hash)

    def verify(self, directory: Path, content_hash: str) -> None:
        """Hash every file of a stored package, here and in the shared store; if that has it, this machine may lack it.

        Raises:
            PackageError: A file is missing or altered; the message names it.
            RegistryError: The shared store can't be read.
            MissingToolError: The shared store needs a package that is not installed.
        """
        if directory.exists() or not self._shared.is_set:
            self._verify_here(directory, content_hash)
        self._shared.verify(directory, _manifest_of(content_hash))

    def share(self, directory: Path, content_hash: str) -> bool:
        """Upload a stored package that the shared store lacks; say whether it was.

        Raises:
            PackageError: A file is missing or altered; the message names it.
            RegistryError: It can't be uploaded.
            MissingToolError: The shared store needs a package that is not installed.
        """
        return self._shared.share(directory, _manifest_of(content_hash))

    def remove(self, tag: str) -> None:
        """Remove the directory under `tag`, whole or half, and its mark, if they are there; from the shared store too.

        Raises:
            RegistryError: It can't be removed from the shared store.
            MissingToolError: The shared store needs a package that is not installed.
        """
        for side in self.sides:
            side.remove(self.directory(tag))

    def _add(self, package: Package, tag: str) -> None:
        try:
            self._create(tag, package)
            _flush(self.directory(tag))
            self._verify_here(self.directory(tag), package.content_hash)
        except OSError as error:
            remove_folder(self.directory(tag))
            raise RegistryError(f"can't store '{package.directory}' in '{self._home}': {_reason(error)}") from error
        except PackageError:
            remove_folder(self.directory(tag))
            raise

    def _verify_here(self, directory: Path, content_hash: str) -> None:
        from codec.package import open_package  # it loads NumPy, which listing and naming don't need

        package = open_package(directory)
        if package.content_hash != content_hash:
            raise PackageError(f"'{directory / 'SHA256SUMS'}' is not the one that was registered")

    def _create(self, tag: str, package: Package) -> None:
        import bentoml.models  # it takes a second, which only what adds to the store should pay
        from bentoml._internal.models import ModelStore  # the public API fixes the home at the first use

        with locked(self._home / ".nacre-lock"):
            # BentoML keeps the newest creation here, which nothing of ours reads; reading it before it renews it,
            # BentoML fails on what a killed process left.
            (self.directory(tag).parent / "latest").unlink(missing_ok=True)
            models = ModelStore(self._home / "models")
            with bentoml.models.create(tag, metadata=_metadata(package), _model_store=models) as model:
                for file in package.files:
                    shutil.copyfile(package.directory / file, model.path_of(file))
        # BentoML copies the permissions of its temporary folder: the owner's alone.
        self.directory(tag).chmod(self.directory(tag).parent.stat().st_mode)


def _add_bento_facts(fetched: Path, directory: Path) -> None:
    """Add what BentoML wants in a model's folder to a fetched package, which is to lie in `directory`."""
    import bentoml.models  # as in `_create`
    from bentoml._internal.models import ModelStore

    from codec.package import open_package

    tag, metadata = f"{directory.parent.name}:{directory.name}", _metadata(open_package(fetched))
    with tempfile.TemporaryDirectory(dir=fetched.parent) as store:
        with bentoml.models.create(tag, metadata=metadata, _model_store=ModelStore(store)):
            pass
        shutil.copyfile(Path(store, directory.parent.name, directory.name, "model.yaml"), fetched / "model.yaml")


def _reason(error: OSError) -> str:
    """Return why, in a line; of all files that BentoML could not copy, why it could not copy the first."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        return str(error.args[0][0][-1])
    return str(error)


def _metadata(package: Package) -> dict[str, str]:
    """Return what BentoML keeps beside a package."""
    return {"content_hash": package.content_hash, "fingerprint": package.fingerprint}


def _manifest_of(content_hash: str) -> ManifestAt:
    return lambda location: package_manifest(location, content_hash)


def _flush(directory: Path) -> None:
    """Flush a stored package to disk: the row that makes it a version must not survive a power cut alone."""
    flush_folder(directory)
    for folder in (directory.parent, directory.parent.parent):
        sync_directory(folder)
