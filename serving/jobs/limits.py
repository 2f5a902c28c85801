"""Bounds on jobs: on one, on how many there are, and on what they leave on disk."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveFloat, PositiveInt

from codec.audio import AudioLimits


class JobLimits(BaseModel):
    """What the service takes as jobs, over all its worker processes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # An upload: its size, how long it may take, and how many there are at once in one worker.
    max_job_bytes: PositiveInt = 2 * 2**30
    job_upload_seconds: PositiveFloat = 3600.0
    max_job_uploads: PositiveInt = 8
    # An archive: its entries, and their bytes unpacked.
    max_job_files: PositiveInt = 10_000
    max_job_unpacked_bytes: PositiveInt = 16 * 2**30
    # One file's duration.
    max_job_seconds: PositiveFloat = 6 * 3600.0
    # Jobs that wait or run.
    max_jobs: PositiveInt = 1_000
    max_jobs_per_owner: PositiveInt = 100
    job_keep_hours: PositiveFloat = 24.0
    # Room on the disk that jobs leave to others.
    job_min_free_bytes: NonNegativeInt = 2**30

    def job_audio(self, audio: AudioLimits) -> AudioLimits:
        """The bounds on one file's audio: those of a request, `audio`, but for the duration."""
        return AudioLimits(
            max_seconds=self.max_job_seconds,
            max_channels=audio.max_channels,
            min_sample_rate=audio.min_sample_rate,
            max_sample_rate=audio.max_sample_rate,
        )
