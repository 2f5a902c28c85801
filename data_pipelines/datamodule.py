"""The DataModule: training batches, fixed validation clips and calibration audio from one data set, noise from another.

Axes: audio float32 [B, C, T].
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812  # the field's name for it
import torch
from torch.utils.data import DataLoader

from codec.errors import NacreError
from data_pipelines.cache import ShardCache
from data_pipelines.calibration import calibration_segments
from data_pipelines.crops import to_audio
from data_pipelines.damage import DamageLog
from data_pipelines.dataset import open_dataset
from data_pipelines.mixture import MixedSet, Mixture, open_mixture
from data_pipelines.noise import NoiseSource
from data_pipelines.position import changed_topology, resumed_batches
from data_pipelines.reader import ShardRecord
from data_pipelines.replacement import ReplacingReader
from data_pipelines.stream import CropStream, StreamConfig
from data_pipelines.validation import ValidationClip, ValidationClips, read_validation
from data_pipelines.workers import leave_signals_to_parent


class TrainBatches:
    """The training batches of one rank, endless; each iteration starts at the batch after the last one counted."""

    def __init__(self, datamodule: AudioDataModule) -> None:
        self._datamodule = datamodule

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Start workers, yield their batches, keep their reports, and raise what went wrong in them."""
        workers = self._datamodule.num_workers
        loader = DataLoader(
            self._datamodule.train_stream(),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=2 if workers else None,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=leave_signals_to_parent,
        )
        for batch in loader:
            if isinstance(batch, NacreError):
                raise batch
            self._datamodule.damage.add(batch.report)
            yield batch.audio


class AudioDataModule(L.LightningDataModule):
    """Stream a data set made by `nacre data build`.

    Args:
        directory: A local folder or an fsspec URL.
        mixture: Further data sets, each with its weight beside `directory`, whose weight is 1; null for none.
        segment_samples: Samples in a training crop; shorter records are zero-padded.
        batch_size: Crops in a batch of one rank.
        num_workers: Processes that read, for each rank; 0 reads in the training process.
        crops_per_record: Crops cut from a record each time it is read.
        seed: Decides the order and the crops.
        max_val_clips: Validation clips, over all ranks.
        max_val_seconds: Validation clips are cut to this length.
        noise_directory: Another data set, of noise, for codecs that learn to denoise; null for the others.
        max_replaced_share: Training stops when more than this share of a data set's records is found unreadable.
        cache_directory: Folder for shards that come over a network; null fetches them each time they are read.
        cache_gb: Most that the cache holds; the shards that were not used for the longest time go first.
    """

    def __init__(
        self,
        *,
        directory: str,
        mixture: list[MixedSet] | None = None,
        segment_samples: int = 16000,
        batch_size: int = 16,
        num_workers: int = 2,
        crops_per_record: int = 2,
        seed: int = 0,
        max_val_clips: int = 16,
        max_val_seconds: float = 5.0,
        noise_directory: str | None = None,
        max_replaced_share: float = 0.01,
        cache_directory: str | None = None,
        cache_gb: float = 20.0,
    ) -> None:
        super().__init__()
        self.num_workers = num_workers
        self.max_replaced_share = max_replaced_share
        self.damage = DamageLog()
        self._directory = directory
        self._others = mixture or []
        self._noise_directory = noise_directory
        self._cache = (
            None
            if cache_directory is None
            else ShardCache(directory=Path(cache_directory).expanduser(), max_bytes=int(cache_gb * 1e9))
        )
        self._stream = StreamConfig(
            segment_samples=segment_samples, batch_size=batch_size, crops_per_record=crops_per_record, seed=seed
        )
        self._max_val_clips = max_val_clips
        self._max_val_seconds = max_val_seconds
        self._batches = 0
        # Whether a position relative to another topology is good enough.
        self.resume_loose = False
        self.changed_topology: list[str] = []

    @property
    def index_sha256(self) -> str:
        """The hash that stands for the data set, or for all of a mixture and its weights."""
        return self._mixture.sha256

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self._mixture.sets[0].index.sample_rate

    @property
    def channels(self) -> int:
        """Channels, C."""
        return self._mixture.sets[0].index.channels

    @property
    def noise_index_sha256(self) -> str | None:
        """The hash that stands for the data set of noise; None without one."""
        return None if self._noise is None else self._noise.index_sha256

    def setup(self, stage: str) -> None:
        """Check that there is something to train on, and to validate with unless the trainer doesn't validate.

        Raises:
            DataError: There is no data set, one's split train is empty, or every split val, or sets of a mixture or
                the noise don't fit together.
        """
        if stage == "fit":
            self._need_train()
            if self._noise is not None:
                self._noise.check(self.sample_rate, self.channels)
        if stage in ("fit", "validate") and (self.trainer is None or self.trainer.limit_val_batches):
            self._need_val()

    def train_dataloader(self) -> TrainBatches:
        """Return endless batches float32 [B, C, segment_samples].

        Raises:
            DataError: Split train is empty; while iterating: no shard can be read, or one can't be reached.
        """
        self._need_train()
        return TrainBatches(self)

    def train_stream(self) -> CropStream:
        """Return this rank's stream, from the batch after the last one counted."""
        return CropStream(
            self._mixture,
            self._stream,
            rank=self._rank,
            world_size=self._world_size,
            start=self._batches,
        )

    def val_dataloader(self) -> ValidationClips:
        """Return this rank's share of the fixed validation clips (data_pipelines/validation.py).

        Raises:
            DataError: Split val is empty, or a shard is missing or damaged.
        """
        self._need_val()
        records = read_validation(self._mixture.sets, self._max_val_clips, rank=self._rank, world_size=self._world_size)
        most = max(1, int(self._max_val_seconds * self.sample_rate))
        return ValidationClips([self._clip(record, most) for record in records])

    def _clip(self, record: ShardRecord, most: int) -> ValidationClip:
        audio = to_audio(record.samples[:most])[None]
        noise = None if self._noise is None else self._noise.clip(record.key, audio.shape[-1])[None]
        return ValidationClip(record.key, audio, noise)

    def calibration_audio(self, num_segments: int) -> torch.Tensor:
        """Return [num_segments, C, segment_samples], spread evenly over split train, of each set as its weight asks.

        It depends on the data and the seed alone: every rank, at any time, gets the same.

        Raises:
            DataError: Split train is empty, or no shard of it can be read.
        """
        self._need_train()
        segments = []
        for data, count in zip(self._mixture.sets, self._mixture.counts(num_segments), strict=True):
            reader = ReplacingReader(data)
            size, seed = self._stream.segment_samples, self._stream.seed
            segments += calibration_segments(data, reader, count=count, num_samples=size, seed=seed)
            self.damage.add(reader.take_report())
        return torch.stack(segments)

    def noise_segments(self, step: int) -> torch.Tensor:
        """Return the noise [B, C, segment_samples] for this rank's items of a step.

        It depends on the noise, the seed, the step and the items' places in the joint batch alone.

        Raises:
            DataError: No shard of the noise can be read.
        """
        assert self._noise is not None, "noise_directory was not given"
        first = self._rank * self._stream.batch_size
        noise = self._noise.segments(step, range(first, first + self._stream.batch_size))
        self.damage.add(self._noise.take_report())
        return noise

    def count_batch(self) -> None:
        """Count one training batch as consumed; the training loop calls this once for each finished step."""
        self._batches += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the stream and all that it is relative to."""
        return {"batches": self._batches} | self._topology()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to a position saved by `state_dict`; validating a checkpoint needs no position and ignores it.

        Raises:
            TopologyError: The position was saved with other data, settings, or numbers of ranks or workers, and
                `resume_loose` is false.
        """
        if not getattr(self.trainer, "evaluating", False):
            self.changed_topology = changed_topology(state_dict, self._topology())
            self._batches = resumed_batches(state_dict, self._topology(), loose=self.resume_loose)

    @cached_property
    def _mixture(self) -> Mixture:
        return open_mixture(self._directory, self._others, self._cache)

    def _need_train(self) -> None:
        for data in self._mixture.sets:
            data.need("train")

    def _need_val(self) -> None:
        if not any(data.index.num_records("val") for data in self._mixture.sets):
            self._mixture.sets[0].need("val")

    @cached_property
    def _noise(self) -> NoiseSource | None:
        if self._noise_directory is None:
            return None
        data = open_dataset(self._noise_directory, self._cache)
        return NoiseSource(data, segment_samples=self._stream.segment_samples, seed=self._stream.seed)

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer is not None else 0

    @property
    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer is not None else 1

    def _topology(self) -> dict[str, Any]:
        return {
            "world_size": self._world_size,
            "num_workers": self.num_workers,
            "batch_size": self._stream.batch_size,
            "segment_samples": self._stream.segment_samples,
            "crops_per_record": self._stream.crops_per_record,
            "seed": self._stream.seed,
            "index_sha256": self.index_sha256,
            "noise_index_sha256": self.noise_index_sha256,
        }
