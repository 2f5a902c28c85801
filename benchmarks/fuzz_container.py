"""Mutated containers through every reader: each must give codes or `BitstreamError`, in little time and memory.

    python -m benchmarks.fuzz_container [--count 200000] [--seed 0] [--json]

A mutation flips, cuts, repeats, moves or inserts bytes; half of the mutants then get checksums that hold, so that
what is behind a checksum is tried too. Exits with 1 if a reader raised anything else, took longer than a second, or
more memory than 64 MiB over the input. Memory is traced for one mutant in 50, and for each that was slow.
"""

import argparse
import io
import json
import struct
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from functools import partial

import google_crc32c
import numpy as np

from codec.container import (
    ContainerReader,
    Header,
    read_container,
    read_header,
    read_metadata,
    recover_container,
    scan_container,
    write_container,
)
from codec.container.header import DESCRIBED, ENTROPY_CODED
from codec.entropy import EntropyCoder, EntropyTables
from codec.errors import BitstreamError, ModelMismatchError
from codec.metadata import Metadata

MAX_SECONDS = 1.0
# The most codes that a block may claim take this long to decode one by one, without others beside them.
MAX_SECONDS_CODED = 60.0
MAX_EXTRA_BYTES = 64 << 20
TRACE_EVERY = 50


def make_coder(seed: int) -> EntropyCoder:
    """Return a coder of up to 3 stages of 16 codes, under which some codes are much likelier than others."""
    generator = np.random.default_rng(seed)
    sizes = 1 + generator.multinomial((1 << 14) - 16, generator.dirichlet(np.full(16, 0.2), (3, 2)))
    return EntropyCoder(
        EntropyTables(
            earlier=generator.integers(-50, 50, (3, 16, 2), np.int8),
            before=generator.integers(-50, 50, (3, 16, 2), np.int8),
            gates=generator.integers(-99, 99, (3, 6, 2), np.int8),
            biases=np.zeros((3, 2), np.int32),
            sizes=sizes.astype(np.uint16),
        )
    )


CODER = make_coder(0)


def make_container(generator: np.random.Generator) -> bytes:
    """Return a container of random codes with any features; entropy-coded ones are small, as each code takes time."""
    coder = CODER if generator.integers(2) else None
    streams = int(generator.integers(1, 3))
    hop = int(generator.integers(1, 1000))
    frames = int(generator.integers(1, 5 if coder else 60))
    overlap = int(generator.integers(0, frames * hop // 2 + 1)) if generator.integers(2) else None
    num_samples = int(generator.integers(1, (25 if coder else 400) * hop))
    described = Metadata(
        tags={"title": ("t" * int(generator.integers(80)),)}, mtime_ns=int(generator.integers(1 << 40))
    )
    metadata = described if generator.integers(2) else None
    header = Header(
        codec_name="fuzz"[: int(generator.integers(1, 5))],
        fingerprint=generator.bytes(8),
        sample_rate=16_000,
        num_samples=num_samples,
        source_sample_rate=16_000,
        source_num_samples=num_samples,
        channels=streams,
        num_streams=streams,
        num_quantizers=int(generator.integers(1, 4 if coder else 9)),
        codebook_size=16 if coder else int(generator.choice([2, 16, 1000, 1024, 65_536])),
        hop_length=hop,
        frames_per_block=frames,
        coder=coder.fingerprint if coder else b"",
        overlap=overlap,
        metadata_bytes=len(metadata.to_json()) if metadata else 0,
    )
    codes = generator.integers(0, header.codebook_size, (streams, header.num_quantizers, header.num_frames))
    if coder and generator.integers(2):
        codes[:] = 0
    scales = generator.exponential(0.1, (streams, header.num_blocks)).astype(np.float32)
    return write_container(header, codes, scales, coder, metadata)


def mutate(data: bytes, generator: np.random.Generator) -> bytes:
    mutant = bytearray(data)
    for _ in range(int(generator.geometric(0.5))):
        # Headers are short and payloads long: half of the places are near an end.
        near = min(len(mutant), 110)
        place = int(
            generator.choice([generator.integers(near), generator.integers(len(mutant)), -generator.integers(near) - 1])
        )
        place %= len(mutant)
        length = int(generator.geometric(0.1))
        match int(generator.integers(6)):
            case 0:
                mutant[place] ^= 1 << int(generator.integers(8))
            case 1:
                mutant[place : place + length] = generator.bytes(len(mutant[place : place + length]))
            case 2:
                del mutant[place : place + length]
            case 3:
                mutant[place:place] = generator.bytes(length)
            case 4:
                other = int(generator.integers(len(mutant)))
                mutant[place:place] = mutant[other : other + 10 * length]
            case _:
                del mutant[place + 1 :]
        if not mutant:
            return b""
    return bytes(mutant)


def mend(data: bytes) -> bytes:
    """Give the header, metadata, the blocks that lie end to end after them, and the footer checksums that hold."""
    length = int.from_bytes(data[6:8], "little")
    if not 40 <= length <= len(data):
        return data
    mended = bytearray(data)
    seed = google_crc32c.value(data[: length - 4])
    mended[length - 4 : length] = seed.to_bytes(4, "little")
    position, index = length, 0
    if mended[5] & DESCRIBED:
        position += int.from_bytes(mended[length - 8 : length - 4], "little")
        checksum = google_crc32c.extend(google_crc32c.value(struct.pack("<I", seed)), bytes(mended[length:position]))
        mended[position : position + 4] = checksum.to_bytes(4, "little")
        position += 4
    while mended[position : position + 2] == b"\xa5N" and position + 11 <= len(mended):
        stop = position + 11 + int.from_bytes(mended[position + 5 : position + 7], "little")
        context = struct.pack("<IQB", seed, index, mended[position + 4])
        checksum = google_crc32c.value(context + bytes(mended[position + 11 : stop]))
        mended[position + 7 : position + 11] = checksum.to_bytes(4, "little")
        position, index = stop, index + 1
    if len(mended) >= position + 26:
        body = struct.pack("<I", seed) + bytes(mended[position:-8])
        mended[-8:-4] = google_crc32c.value(body).to_bytes(4, "little")
    return bytes(mended)


def read_stretch(data: bytes) -> None:
    reader = ContainerReader(io.BytesIO(data), CODER)
    frames = min(reader.header.num_frames, 200)
    reader.read_frames(reader.header.num_frames - frames, frames)


READERS: dict[str, Callable[[bytes], object]] = {
    "read_header": read_header,
    "read_metadata": read_metadata,
    "read_container": partial(read_container, coder=CODER),
    "read_frames": read_stretch,
    "scan_container": scan_container,
    "recover_container": partial(recover_container, coder=CODER),
}


def try_reader(read: Callable[[bytes], object], data: bytes) -> str:
    """Return how reading went: 'read', 'refused', or what is wrong."""
    start = time.perf_counter()
    try:
        read(data)
    except (BitstreamError, ModelMismatchError):
        outcome = "refused"
    except Exception as error:
        outcome = f"raised {type(error).__name__}"
    else:
        outcome = "read"
    allowed = MAX_SECONDS_CODED if data[5:6] and data[5] & ENTROPY_CODED else MAX_SECONDS
    return outcome if time.perf_counter() - start < allowed else "slow"


def extra_bytes(read: Callable[[bytes], object], data: bytes) -> int:
    tracemalloc.start()
    try_reader(read, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def fuzz(count: int, seed: int) -> tuple[Counter[str], int]:
    """Return counts of 'reader: outcome', and the most extra memory in bytes."""
    generator = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    most = 0
    for number in range(count):
        if number % 100 == 0:
            whole = make_container(generator)
        data = mutate(whole, generator)
        if number % 2:
            data = mend(data)
        for name, read in READERS.items():
            outcome = try_reader(read, data)
            counts[f"{name}: {outcome}"] += 1
            if number % TRACE_EVERY == 0 or outcome == "slow":
                most = max(most, extra_bytes(read, data))
            if outcome not in ("read", "refused"):
                print(f"{name} {outcome} on {data.hex()}", file=sys.stderr)
    return counts, most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200_000, help="mutated containers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    arguments = parser.parse_args()
    start = time.perf_counter()
    counts, most = fuzz(arguments.count, arguments.seed)
    for name, number in sorted(counts.items()):
        print(f"{name:32} {number:9}")
    print(f"{arguments.count} mutants in {time.perf_counter() - start:.0f} s; at most {most / 2**20:.1f} MiB of memory")
    bad = sum(number for name, number in counts.items() if not name.endswith((": read", ": refused")))
    if arguments.json:
        print(json.dumps({"mutants": arguments.count, "bad": bad, "most_extra_bytes": most, "counts": dict(counts)}))
    sys.exit(1 if bad or most > MAX_EXTRA_BYTES else 0)


if __name__ == "__main__":
    main()
