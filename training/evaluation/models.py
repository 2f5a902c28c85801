"""Our own models as operating points: what `--model` names, at the bitrates asked for or at a spread of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from codec.package import Package, open_package
from registry.resolve import find_package
from training.evaluation.codecs.nacre import NacrePoint

# Numbers of quantizers that a model is evaluated at unless told otherwise: those that it has.
SPREAD = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)


def model_points(model: str, bitrates_kbps: Sequence[float] = ()) -> list[NacrePoint]:
    """Return the operating points of the model called `model`, a package folder or a registered name.

    Raises:
        PackageError: There is no such folder, or it is no package.
        UnknownModelError: No such model is registered.
        BitrateError: The model has no such bitrate.
    """
    found = find_package(model)
    package = open_package(found.directory)
    name = str(found.version) if found.version else found.directory.absolute().name
    config = package.config
    for bitrate in bitrates_kbps:
        config.resolve_num_quantizers(bitrate_kbps=bitrate)
    rates = list(bitrates_kbps) or [config.bitrate_kbps(k) for k in SPREAD if k <= config.quantizer.num_quantizers]
    return [_point(name, found.directory, package, bitrate) for bitrate in rates]


def _point(name: str, directory: Path, package: Package, bitrate_kbps: float) -> NacrePoint:
    return NacrePoint(name=name, directory=directory, content_hash=package.content_hash, bitrate_kbps=bitrate_kbps)
