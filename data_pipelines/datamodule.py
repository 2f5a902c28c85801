"""The DataModule: training batches, fixed validation clips and calibration audio from one data set, noise from another.

Axes: audio float32 [B, C, T].
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import lightning as L  # noqa: N812  # the field's name for it
import torch
from torch.utils.data import DataLoader

from codec.errors import DataError, NacreError
from data_pipelines.crops import cut, room, to_audio
from data_pipelines.folder import DataFolder
from data_pipelines.index import Index, read_index
from data_pipelines.noise import NoiseSource
from data_pipelines.position import changed_topology, resumed_batches
from data_pipelines.reader import ShardRecord, read_shard
from data_pipelines.splits import SPLITS, Split
from data_pipelines.stream import CropStream, StreamConfig
from data_pipelines.validation import ValidationClip, ValidationClips
from data_pipelines.workers import leave_signals_to_parent

# Calibration reads at most this many shards, evenly spread, however large the data set.
MAX_CALIBRATION_SHARDS = 32


class TrainBatches:
    """The training batches of one rank, endless; each iteration starts at the batch after the last one counted."""

    def __init__(self, datamodule: AudioDataModule) -> None:
        self._datamodule = datamodule

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Start workers, yield their batches, and raise what went wrong in them."""
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
            yield batch


class AudioDataModule(L.LightningDataModule):
    """Stream a data set made by `nacre data build`.

    Args:
        directory: A local folder or an fsspec URL.
        segment_samples: Samples in a training crop; shorter records are zero-padded.
        batch_size: Crops in a batch of one rank.
        num_workers: Processes that read, for each rank; 0 reads in the training process.
        crops_per_record: Crops cut from a record each time it is read.
        seed: Decides the order and the crops.
        max_val_clips: Validation clips, over all ranks.
        max_val_seconds: Validation clips are cut to this length.
        noise_directory: Another data set, of noise, for codecs that learn to denoise; null for the others.
    """

    def __init__(
        self,
        *,
        directory: str,
        segment_samples: int = 16000,
        batch_size: int = 16,
        num_workers: int = 2,
        crops_per_record: int = 2,
        seed: int = 0,
        max_val_clips: int = 16,
        max_val_seconds: float = 5.0,
        noise_directory: str | None = None,
    ) -> None:
        super().__init__()
        self.num_workers = num_workers
        self._folder = DataFolder(directory)
        self._stream = StreamConfig(
            segment_samples=segment_samples, batch_size=batch_size, crops_per_record=crops_per_record, seed=seed
        )
        self._noise = (
            None
            if noise_directory is None
            else NoiseSource(DataFolder(noise_directory), segment_samples=segment_samples, seed=seed)
        )
        self._max_val_clips = max_val_clips
        self._max_val_seconds = max_val_seconds
        self._batches = 0
        # Whether a position relative to another topology is good enough.
        self.resume_loose = False
        self.changed_topology: list[str] = []

    @property
    def index_sha256(self) -> str:
        """The hash that stands for the data set."""
        return self._read_index[1]

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self._index.sample_rate

    @property
    def channels(self) -> int:
        """Channels, C."""
        return self._index.channels

    @property
    def noise_index_sha256(self) -> str | None:
        """The hash that stands for the data set of noise; None without one."""
        return None if self._noise is None else self._noise.index_sha256

    def setup(self, stage: str) -> None:
        """Check that there is something to train on, and to validate with unless the trainer doesn't validate.

        Raises:
            DataError: There is no data set, its split train or val is empty, or the noise doesn't fit it.
        """
        if stage == "fit":
            self._need("train")
            if self._noise is not None:
                self._noise.check(self.sample_rate, self.channels)
        if stage in ("fit", "validate") and (self.trainer is None or self.trainer.limit_val_batches):
            self._need("val")

    def train_dataloader(self) -> TrainBatches:
        """Return endless batches float32 [B, C, segment_samples].

        Raises:
            DataError: Split train is empty; while iterating: a shard is missing or damaged.
        """
        self._need("train")
        return TrainBatches(self)

    def train_stream(self) -> CropStream:
        """Return this rank's stream, from the batch after the last one counted."""
        return CropStream(
            self._folder,
            self._index,
            self._stream,
            rank=self._rank,
            world_size=self._world_size,
            start=self._batches,
        )

    def val_dataloader(self) -> ValidationClips:
        """Return this rank's share of the fixed validation clips.

        The clips are the first records of max_val_clips files (in the order of their hashes; second records and so on
        follow if there are fewer files). Together the ranks have each clip once; a rank that would have none gets one
        that another has too, because a rank without batches would leave the others waiting.

        Raises:
            DataError: Split val is empty, or a shard is missing or damaged.
        """
        self._need("val")
        chosen = self._validation_places()
        mine = chosen[self._rank :: self._world_size] or [chosen[self._rank % len(chosen)]]
        records = self._read("val", mine)
        most = max(1, int(self._max_val_seconds * self.sample_rate))
        return ValidationClips([self._clip(records[place], most) for place in mine])

    def _clip(self, record: ShardRecord, most: int) -> ValidationClip:
        audio = to_audio(record.samples[:most])[None]
        noise = None if self._noise is None else self._noise.clip(record.key, audio.shape[-1])[None]
        return ValidationClip(record.key, audio, noise)

    def calibration_audio(self, num_segments: int) -> torch.Tensor:
        """Return [num_segments, C, segment_samples], spread evenly over split train.

        It depends on the data and the seed alone: every rank, at any time, gets the same.

        Raises:
            DataError: Split train is empty, or a shard is missing or damaged.
        """
        self._need("train")
        shards = self._index.splits["train"]
        kept = _spread(range(len(shards)), min(len(shards), MAX_CALIBRATION_SHARDS))
        places = _spread([(shard, i) for shard in kept for i in range(len(shards[shard].records))], num_segments)
        records = self._read("train", places)
        segments = []
        for number, place in enumerate(places):
            samples = records[place].samples
            rng = random.Random(f"{self._stream.seed}-{number}-calibration")  # noqa: S311  # reproducible on purpose
            offset = rng.randint(0, room(samples, self._stream.segment_samples))
            crop = cut(samples, offset, self._stream.segment_samples)
            segments.append(to_audio(crop, self._stream.segment_samples))
        return torch.stack(segments)

    def noise_segments(self, step: int) -> torch.Tensor:
        """Return the noise [B, C, segment_samples] for this rank's items of a step.

        It depends on the noise, the seed, the step and the items' places in the joint batch alone.

        Raises:
            DataError: A shard is missing or damaged.
        """
        assert self._noise is not None, "noise_directory was not given"
        first = self._rank * self._stream.batch_size
        return self._noise.segments(step, range(first, first + self._stream.batch_size))

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
    def _read_index(self) -> tuple[Index, str]:
        return read_index(self._folder)

    @property
    def _index(self) -> Index:
        return self._read_index[0]

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

    def _need(self, split: Split) -> None:
        if self._index.num_records(split) > 0:
            return
        counts = ", ".join(f"{self._index.num_files(name)} to {name}" for name in SPLITS)
        remedy = "lower --val-percent and --test-percent" if split == "train" else "raise --val-percent"
        rule = f"'{self._folder.url}' has nothing in split {split} (files went {counts})"
        raise DataError(f"{rule}: add audio or {remedy}, and build the data again")

    def _validation_places(self) -> list[tuple[int, int]]:
        """Return (shard, record) of the validation clips: every file's part 0 comes before any file's part 1."""
        shards = self._index.splits["val"]
        places = [(part, shard, i) for shard, entry in enumerate(shards) for i, part in enumerate(entry.parts)]
        return [(shard, i) for _, shard, i in sorted(places)[: self._max_val_clips]]

    def _read(self, split: Split, places: Sequence[tuple[int, int]]) -> dict[tuple[int, int], ShardRecord]:
        """Read the records at (shard, record), each shard once."""
        wanted = set(places)
        records = {}
        for shard in sorted({shard for shard, _ in wanted}):
            for number, record in enumerate(read_shard(self._folder, self._index.splits[split][shard], self.channels)):
                if (shard, number) in wanted:
                    records[shard, number] = ShardRecord(key=record.key, samples=record.samples.copy())
        return records


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """Pick `count` items, evenly spread; more than there are repeats them."""
    return [items[i * len(items) // count] for i in range(count)]
