"""Fit entropy tables to the codes that a package gives of a data set, and make a package with them.

The tables are learned on blocks of a second, as containers have them, with the stages of every bitrate. What is kept is
the state that did best on audio left out of the learning: the validation split, or every tenth block without one.

Axes: blocks int16 [N, F, K]; N blocks, F frames, K stages.
"""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.bitpack import packed_size
from codec.compress import BLOCK_SECONDS
from codec.config import QuantizerConfig
from codec.container.coder import BlockCoder
from codec.entropy import EntropyCoder, EntropyTables
from codec.entropy.storage import save_tables
from codec.entropy.tables import MAX_CODEBOOK_SIZE
from codec.errors import CapabilityError, DataError
from codec.model import Codec
from codec.package import WEIGHTS, Package, create_package
from codec.segments import encode_segments
from codec.weights import load_package
from data_pipelines.crops import to_audio
from data_pipelines.folder import DataFolder
from data_pipelines.index import Index, read_index
from data_pipelines.progress import progress_bar
from data_pipelines.reader import read_shard
from data_pipelines.splits import Split
from training.entropy_model import ContextModel

# On 6 hours of speech at 6 kbps 32 classes saved 25.2% and 64 saved 26.6%, at 2.0 and 2.8 MB.
NUM_FEATURES = 16
NUM_CLASSES = 64
STEPS = 1500
BATCH_BLOCKS = 64
LEARNING_RATE = 0.01
WARMUP_STEPS = 50
STEPS_BETWEEN_CHECKS = 100
CHECK_BLOCKS = 512
# Checks without a better one after which it ends: what little audio has to teach is learned early.
PATIENCE = 4


@dataclass(frozen=True, kw_only=True)
class EntropyFit:
    """The tables, and the share of the packed size that they save on blocks left out, by number of stages."""

    tables: EntropyTables
    saving: dict[int, float]


def fit_package(
    directory: Path, data: str, out: Path, *, hours: float = 10.0, rival: EntropyTables | None = None
) -> Package:
    """Write to `out` the package in `directory`, with entropy tables fitted to up to `hours` of the data set `data`.

    `rival`, if given, are tables of a codec like this one, and are taken if they save more: of little audio, as much
    can't be learned.

    Raises:
        PackageError: `directory` is no package, or `out` exists already.
        DataError: The data set can't be used, or holds less than two blocks of a second.
        CapabilityError: The codebooks are too large for tables.
    """
    model = load_package(directory)
    check_codebooks(model.package.config.quantizer)
    folder = DataFolder(data)
    index, sha256 = read_index(folder)
    learned, left_out = collect_blocks(model.codec, folder, index, hours)
    fit = fit_entropy(learned, left_out, model.package.config.quantizer.codebook_size)
    if rival is not None:
        saving = measure_saving(EntropyCoder(rival), left_out.astype(np.int64))
        fit = max(fit, EntropyFit(tables=rival, saving=saving), key=lambda one: max(one.saving.items())[1])
    facts = {"data_index_sha256": sha256, "blocks": len(learned), "saving": fit.saving}
    return create_package(
        out,
        model.package.config,
        lambda path: _copy(directory / WEIGHTS, path),
        write_entropy=lambda path: save_tables(fit.tables, path),
        metrics=model.package.metrics | {"entropy_saving": max(fit.saving.items())[1]},
        lineage=model.package.lineage | {"entropy": facts},
    )


def check_codebooks(quantizer: QuantizerConfig) -> None:
    """Check that tables can be fitted.

    Raises:
        CapabilityError: The codebooks are too large.
    """
    if quantizer.codebook_size > MAX_CODEBOOK_SIZE:
        raise CapabilityError(
            f"entropy tables take codebooks of up to {MAX_CODEBOOK_SIZE}; this codec's have {quantizer.codebook_size}"
        )


def collect_blocks(
    codec: Codec, folder: DataFolder, index: Index, hours: float
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Return the blocks to learn from, of up to `hours` of the training split, and those left out.

    Raises:
        DataError: The shards are damaged, made for another codec, or hold less than two blocks of a second.
    """
    config = codec.config
    if (index.sample_rate, index.channels) != (config.sample_rate, config.channels):
        have, want = f"{index.sample_rate} Hz, {index.channels} channels", f"{config.sample_rate} Hz, {config.channels}"
        raise DataError(f"'{folder.url}' holds audio of {have}; '{config.name}' codes {want}")
    train = _encode_split(codec, folder, index, "train", hours)
    val = _encode_split(codec, folder, index, "val", hours / 10)
    if not len(val):
        held_out = np.arange(len(train)) % 10 == min(9, len(train) - 1)
        train, val = train[~held_out], train[held_out]
    if not len(train) or not len(val):
        raise DataError(f"'{folder.url}' holds too few records of a second to fit entropy tables: give more audio")
    return train, val


def fit_entropy(
    learned: NDArray[np.int16], left_out: NDArray[np.int16], codebook_size: int, *, steps: int = STEPS, seed: int = 0
) -> EntropyFit:
    """Learn tables from blocks [N, F, K], keep the state that was best on blocks left out, and measure its saving."""
    generator = torch.Generator().manual_seed(seed)
    train = torch.from_numpy(learned.astype(np.int64))
    check = torch.from_numpy(left_out[:: -(-len(left_out) // CHECK_BLOCKS)].astype(np.int64))
    counts = torch.stack([torch.bincount(part.reshape(-1), minlength=codebook_size) for part in train.unbind(2)])
    model = ContextModel(counts.float(), NUM_FEATURES, NUM_CLASSES, generator)
    best_bits, best, missed = math.inf, model, 0
    with progress_bar("entropy tables", steps, "steps") as advance:
        for step in _train(model, train, steps, generator):
            advance()
            if step % STEPS_BETWEEN_CHECKS and step != steps:
                continue
            with torch.no_grad():
                bits = float(model(check).mean())
            missed += 1
            if bits < best_bits:
                best_bits, best, missed = bits, copy.deepcopy(model), 0
            if missed == PATIENCE:
                break
    tables = best.to_tables()
    return EntropyFit(tables=tables, saving=measure_saving(EntropyCoder(tables), check.numpy()))


def measure_saving(coder: BlockCoder, blocks: NDArray[np.int64]) -> dict[int, float]:
    """Return the share of the packed size that the coder saves on blocks [N, F, K], by number of stages."""
    bits = (coder.codebook_size - 1).bit_length()
    saving = {}
    for stages in range(1, blocks.shape[2] + 1):
        codes = blocks[:, :, :stages].swapaxes(1, 2)[:, None]
        packed = len(codes) * packed_size(codes[0].size, bits)
        saving[stages] = 1 - sum(map(len, coder.encode(codes))) / packed
    return saving


def _train(model: ContextModel, blocks: Tensor, steps: int, generator: torch.Generator) -> Iterator[int]:
    """Yield the number of each step after it is done."""
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    for step in range(1, steps + 1):
        warm, decay = min(1.0, step / WARMUP_STEPS), 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * warm * decay
        chosen = blocks[torch.randint(len(blocks), (BATCH_BLOCKS,), generator=generator)]
        # Half of the batches have all stages, the others any number.
        stages = blocks.shape[2]
        if torch.rand((), generator=generator) < 0.5:
            stages = int(torch.randint(1, stages + 1, (), generator=generator))
        loss = model(chosen[:, :, :stages]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield step


def _encode_split(codec: Codec, folder: DataFolder, index: Index, split: Split, hours: float) -> NDArray[np.int16]:
    """Return the blocks [N, F, K] of the records of shards evenly spread over the split, up to `hours`."""
    segments = codec.config.segments
    frames = segments.length // codec.config.hop_length if segments else round(BLOCK_SECONDS * codec.config.frame_rate)
    shards = index.splits[split]
    needed = math.ceil(len(shards) * min(1.0, hours * 3600 / max(1.0, index.seconds(split))))
    chosen = shards[:: len(shards) // needed][:needed] if needed else ()
    found = [np.empty((0, frames, codec.config.quantizer.num_quantizers), np.int16)]
    with progress_bar(f"encoding {split}", sum(len(shard.records) for shard in chosen), "records") as advance:
        for shard in chosen:
            for record in read_shard(folder, shard, index.channels):
                audio = to_audio(record.samples)[None]
                found_codes = encode_segments(codec, audio).codes if segments else codec.encode(audio)
                codes = found_codes[0].cpu().numpy().astype(np.int16)
                whole = codes.shape[1] - codes.shape[1] % frames
                if whole:
                    found.append(codes[:, :whole].T.reshape(-1, frames, len(codes)))
                advance()
    return np.concatenate(found)


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
