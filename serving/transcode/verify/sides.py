"""The two sides of a file that is checked, source and output: one is a container, the other audio, either way around.

Axes: blocks [C, n].
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from codec.audio import Audio, AudioLimits, read_blocks
from codec.compress_blocks import decompress_blocks
from codec.errors import DataError, NacreError
from codec.excerpt import decompress_excerpt
from codec.weights import LoadedPackage
from serving.transcode.digest import content_sha256
from serving.transcode.fragments import read_fragment
from serving.transcode.sources.opening import EntryOpener
from serving.transcode.verify.items import Item

Content = Path | BinaryIO


@dataclass(frozen=True, kw_only=True)
class Sound:
    """What one side is like, and its audio, to be taken once; `num_samples` may be an estimate.

    `made_from` is the sha256 of the file that a container says it was made from, if it does.
    """

    sample_rate: int
    channels: int
    num_samples: int
    made_from: str | None = None
    blocks: Iterator[NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side, opened; `coded` if it is a container, and `name` is what messages call it."""

    content: Content
    num_bytes: int
    coded: bool
    name: str

    def sound(self, model: LoadedPackage, limits: AudioLimits) -> Sound:
        """Return all of its audio.

        Raises:
            DataError: It can't be decoded; also while its blocks are taken.
        """
        with self._named():
            if not self.coded:
                info, blocks = read_blocks(self.content, limits)
                return Sound(
                    sample_rate=info.sample_rate,
                    channels=info.channels,
                    num_samples=info.num_samples,
                    blocks=self._passed_on(blocks),
                )
            audio = decompress_blocks(model, _content_bytes(self.content), limits)
            return Sound(
                sample_rate=audio.header.source_sample_rate,
                channels=audio.header.channels,
                num_samples=audio.header.source_num_samples,
                made_from=None if audio.metadata is None else audio.metadata.source_sha256,
                blocks=self._passed_on(audio.blocks),
            )

    def stretch(self, model: LoadedPackage, limits: AudioLimits, start_s: float, seconds: float) -> Audio:
        """Return a stretch of its audio; an audio file is read from its beginning up to there.

        Raises:
            NacreError: It can't be decoded.
        """
        if self.coded:
            file = io.BytesIO(_content_bytes(self.content))
            return decompress_excerpt(model, file, start_s=start_s, duration_s=seconds, limits=limits)
        info, blocks = read_blocks(self.content, limits)
        first, last = (round(time * info.sample_rate) for time in (start_s, start_s + seconds))
        parts: list[NDArray[np.float32]] = []
        position = 0
        for block in blocks:
            part = block[:, max(0, first - position) : max(0, last - position)]
            if part.shape[1] or not parts:
                parts.append(part.copy())  # a view would keep the block
            position += block.shape[1]
            if position >= last:
                break
        return Audio(samples=np.concatenate(parts, axis=1), sample_rate=info.sample_rate)

    def _passed_on(self, blocks: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        with self._named():
            yield from blocks

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say which side it is that goes wrong."""
        try:
            yield
        except NacreError as error:
            raise DataError(f"{self.name} can't be decoded: {error}") from None


@contextmanager
def opened_sides(item: Item, scratch: Path) -> Iterator[tuple[Side, Side]]:
    """Yield the source and the output of a file, both of which are what they were when the manifest was written.

    Raises:
        DataError: One was altered since, or can't be read.
        OSError: One can't be read.
    """
    with ExitStack() as stack:
        opener = stack.enter_context(EntryOpener(scratch))
        source = stack.enter_context(opener.opened(item.source))
        if content_sha256(source, item.source.checksum) != item.source_sha256:
            raise DataError("its source was altered since: transcode again")
        output = stack.enter_context(opener.opened(item.output))
        if content_sha256(output) != item.output_sha256:
            raise DataError("its output was altered since: remove it, and transcode again")
        output, num_bytes = _unpacked(output, item)
        yield (
            Side(content=source, num_bytes=item.source.size, coded=item.decode, name="its source"),
            Side(content=output, num_bytes=num_bytes, coded=not item.decode, name="its output"),
        )


def _unpacked(output: Content, item: Item) -> tuple[Content, int]:
    """Return the output itself, and its bytes."""
    if item.member is None:
        return output, item.output.size
    members = dict(read_fragment(_content_bytes(output)))
    if item.member not in members:
        raise DataError(f"its shard has no '{item.member}' where the manifest says: transcode again")
    data = members[item.member]
    return io.BytesIO(data), len(data)


def _content_bytes(content: Content) -> bytes:
    return content.read_bytes() if isinstance(content, Path) else content.read()
