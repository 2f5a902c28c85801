"""The models that are served: several at once, each following its alias, and former versions for old containers.

Every few seconds the registry is asked what each reference means now. A version that is new is verified, loaded and
tested beside the old one, and then takes its place at once: requests that began with the old one end with it. One that
fails is refused, and the old one serves on. Torch is imported only when a model is loaded.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codec.errors import ModelMismatchError, RegistryError, UnknownModelError
from serving.errors import unavailable
from serving.schemas import ModelFacts, Refusal

if TYPE_CHECKING:
    from codec.weights import LoadedPackage
    from registry.registry import Registry
    from registry.version import ModelVersion

FOLLOW_SECONDS = 2.0
MAX_FORMER = 2
# Told the model's name, and whether the new version was taken.
OnSwap = Callable[[str, bool], None]

logger = logging.getLogger("nacre.serving")


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model in use: what it was asked for as, what it is called, the registered version, and the model."""

    reference: str
    name: str
    version: int | None
    loaded: LoadedPackage

    def facts(self, refused: Refusal | None) -> ModelFacts:
        """Describe it to clients."""
        package = self.loaded.package
        return ModelFacts.of(
            package.config,
            name=self.name,
            reference=self.reference,
            version=self.version,
            fingerprint=package.fingerprint,
            refused=refused,
        )


class ServedModels:
    """The models of `references`, in that order; not ready until `load` was called."""

    def __init__(
        self, references: Sequence[str], device: str = "cpu", on_swap: OnSwap = lambda name, taken: None
    ) -> None:
        self._references = tuple(references)
        self._device = device
        self._on_swap = on_swap
        self._served: dict[str, ServedModel] = {}
        self._refused: dict[str, Refusal] = {}
        self._former: OrderedDict[bytes, ServedModel] = OrderedDict()
        self._loading = threading.Lock()
        self._stopped = threading.Event()
        self._registry: Registry | None = None

    def load(self) -> None:
        """Resolve, verify, load and test every model; blocks.

        Raises:
            UnknownModelError: There is no such model.
            PackageError: A package is incomplete or altered, or fails its test.
        """
        loaded = {reference: self._load(reference) for reference in self._references}
        names = [model.name for model in loaded.values()]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UnknownModelError(f"two models are called '{twice.pop()}': serve one of them")
        self._served = loaded

    def check_ready(self) -> None:
        """Check that they were loaded.

        Raises:
            ServiceError: They are still loading.
        """
        self._ready()

    def all(self) -> list[ModelFacts]:
        """Describe every model.

        Raises:
            ServiceError: They are still loading.
        """
        return [model.facts(self._refused.get(model.reference)) for model in self._ready().values()]

    def describe(self, name: str) -> ModelFacts:
        """Describe the model called `name`.

        Raises:
            UnknownModelError: None is.
            ServiceError: They are still loading.
        """
        model = self.choose(name)
        return model.facts(self._refused.get(model.reference))

    def choose(self, name: str | None) -> ServedModel:
        """Return the model called `name`, or asked for as `name`; without one the first.

        Raises:
            UnknownModelError: None is.
            ServiceError: They are still loading.
        """
        served = self._ready()
        if name is None:
            return next(iter(served.values()))
        for model in served.values():
            if name in (model.reference, model.name):
                return model
        known = ", ".join(model.name for model in served.values())
        raise UnknownModelError(f"no model '{name}' is served here; served are: {known}")

    def maker_of(self, short_fingerprint: bytes) -> ServedModel:
        """Return the model that made a container, loading a former version if it takes one; blocks.

        Raises:
            ModelMismatchError: No version of the models served did.
            PackageError: That version is damaged.
            ServiceError: They are still loading.
        """
        for model in self._ready().values():
            if model.loaded.package.short_fingerprint == short_fingerprint:
                return model
        with self._loading:
            if short_fingerprint in self._former:
                self._former.move_to_end(short_fingerprint)
                return self._former[short_fingerprint]
            version = self._find_version(short_fingerprint)
            former = self._load_version(str(version), version)
            self._remember(former)
            return former

    def follow(self, every_s: float = FOLLOW_SECONDS) -> threading.Thread:
        """Keep up with the registry in a thread, until `close`."""
        thread = threading.Thread(target=self._follow, args=(every_s,), name="nacre-follow", daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Stop following."""
        self._stopped.set()

    def _follow(self, every_s: float) -> None:
        while not self._stopped.wait(every_s):
            for reference, model in self._served.items():
                if model.version is not None:
                    self._keep_up(reference, model)

    def _keep_up(self, reference: str, model: ServedModel) -> None:
        """Serve what `reference` means now, unless that was refused already."""
        try:
            wanted = self._open_registry().show(reference)
        except Exception as error:  # whatever ails the registry, the model serves on
            logger.warning("%s: the registry can't be asked: %s", reference, error)
            return
        refused = self._refused.get(reference)
        if wanted.version == model.version:
            self._refused.pop(reference, None)
            return
        if refused is not None and refused.version == wanted.version:
            return
        try:
            successor = self._load_version(reference, wanted)
        except RegistryError as error:  # it can't be fetched from where machines share it, and may be soon
            logger.warning("%s: version %d waits, %s serves on: %s", reference, wanted.version, model.version, error)
            return
        except Exception as error:  # whatever ails the new version, the old one serves on
            self._refused[reference] = Refusal(version=wanted.version, reason=str(error))
            self._on_swap(model.name, False)
            logger.error("%s: version %d is refused, %s serves on: %s", reference, wanted.version, model.version, error)
            return
        with self._loading:
            self._remember(model)
        self._served = {**self._served, reference: successor}
        self._refused.pop(reference, None)
        self._on_swap(model.name, True)
        logger.info("%s: version %d follows %s", reference, wanted.version, model.version)

    def _load(self, reference: str) -> ServedModel:
        from registry.resolve import find_package

        found = find_package(reference)
        if found.version is not None:
            return self._load_version(reference, found.version)
        name = found.directory.absolute().name  # a path is no client's business
        return ServedModel(reference=name, name=name, version=None, loaded=self._load_directory(found.directory))

    def _load_version(self, reference: str, version: ModelVersion) -> ServedModel:
        self._open_registry().resolve(str(version))
        loaded = self._load_directory(version.directory)
        return ServedModel(reference=reference, name=version.name, version=version.version, loaded=loaded)

    def _load_directory(self, directory: Path) -> LoadedPackage:
        from codec.weights import load_package
        from serving.joined_coder import join_decoding
        from serving.self_test import check_model

        loaded = join_decoding(load_package(directory, self._device))
        check_model(loaded)
        return loaded

    def _find_version(self, short_fingerprint: bytes) -> ModelVersion:
        names = {model.name for model in self._served.values() if model.version is not None}
        version = self._open_registry().find_maker(short_fingerprint, names) if names else None
        if version is None:
            maker = f"a model with fingerprint {short_fingerprint.hex()}"
            raise ModelMismatchError(f"the container was made by {maker}, which is not served here")
        return version

    def _remember(self, model: ServedModel) -> None:
        self._former[model.loaded.package.short_fingerprint] = model
        while len(self._former) > MAX_FORMER:
            self._former.popitem(last=False)

    def _open_registry(self) -> Registry:
        if self._registry is None:
            from registry.registry import Registry

            self._registry = Registry.open()
        return self._registry

    def _ready(self) -> dict[str, ServedModel]:
        if not self._served:
            raise unavailable("not_ready", "the models are still loading")
        return self._served
