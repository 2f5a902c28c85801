"""The one tree of errors that Nacre raises on purpose.

    NacreError
    ├── AudioError            the audio can't be used: undecodable, empty, not finite, too long
    │   └── LimitError        the audio, or a container's claim, is larger than allowed
    ├── BitrateError          the model has no such bitrate or number of quantizers
    ├── CapabilityError       the model can't do what was asked of it
    ├── BitstreamError        the container is damaged, cut, or no container at all
    │   └── ModelMismatchError    a good container, made by another model
    ├── PackageError          the package directory is incomplete, altered or not a package
    ├── DataError             a manifest, shard or index is missing, damaged or empty
    │   └── DamageError           a shard or record can't be read; training replaces it
    ├── RunError              a training run can't be started, resumed or exported
    ├── RegistryError         the registry refuses
    │   ├── UnknownModelError     no such name, version or alias
    │   └── ConflictError         somebody else changed it first
    └── MissingToolError      a program or optional package that this step needs is not installed

Two rooms add leaves of their own: serving/jobs/errors.py and serving/client/error.py.

Each message is one sentence or two: the value, the rule, and what to do. Each class has a `code`, the stable word that
the HTTP API sends. The command line prints the message alone and exits with 1.
"""


class NacreError(Exception):
    """Root of the tree."""

    code = "internal"


class AudioError(NacreError, ValueError):
    """The audio can't be used."""

    code = "bad_audio"


class LimitError(AudioError):
    """The input is larger than allowed; raised before anything of that size is allocated."""

    code = "too_large"


class BitrateError(NacreError, ValueError):
    """The model has no such bitrate or number of quantizers."""

    code = "bad_bitrate"


class CapabilityError(NacreError, ValueError):
    """The model can't do what was asked of it."""

    code = "not_capable"


class BitstreamError(NacreError, ValueError):
    """The container is damaged, cut short, or not a container."""

    code = "bad_bitstream"


class ModelMismatchError(BitstreamError):
    """The container is whole but was made by another model."""

    code = "model_mismatch"


class PackageError(NacreError, ValueError):
    """The package directory is incomplete, altered or not a package."""

    code = "bad_package"


class DataError(NacreError, ValueError):
    """A manifest, shard or index is missing, damaged or empty."""

    code = "bad_data"


class DamageError(DataError):
    """A shard, or a record of it, is missing or damaged; training replaces it and goes on."""

    code = "damaged_data"


class RunError(NacreError, RuntimeError):
    """A training run can't be started, resumed or exported."""

    code = "bad_run"


class RegistryError(NacreError, RuntimeError):
    """The registry refuses."""

    code = "registry"


class UnknownModelError(RegistryError, LookupError):
    """No such name, version or alias."""

    code = "unknown_model"


class ConflictError(RegistryError):
    """The registry changed between reading and writing."""

    code = "conflict"


class MissingToolError(NacreError, RuntimeError):
    """A program or optional package that this step needs is not installed."""

    code = "missing_tool"
