"""What can go wrong with a job beyond codec/errors.py, and the ways in which its work ends early.

NacreError
├── ArchiveError          the archive is damaged, or an entry of it can't be used
└── StorageFullError      there is no room left on the disk
WorkEndedError
├── JobCancelledError     its owner cancelled it
├── LeaseLostError        another runner has it now
└── RunnerStoppedError    the service is shutting down
"""

from codec.errors import NacreError


class ArchiveError(NacreError, ValueError):
    """The archive is damaged, or one of its entries can't be used."""

    code = "bad_archive"


class StorageFullError(NacreError, RuntimeError):
    """There is no room left on the disk."""

    code = "storage_full"


class WorkEndedError(Exception):
    """The work on a job has to end here; none of its files is to blame."""


class JobCancelledError(WorkEndedError):
    """The job was cancelled or removed."""


class LeaseLostError(WorkEndedError):
    """Another runner has the job now."""


class RunnerStoppedError(WorkEndedError):
    """This runner is stopping."""
