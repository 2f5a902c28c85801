"""How audio is cut into segments of one length that overlap: integer arithmetic on samples alone.

Segment i covers the samples from `i * stride` on, `length` of them or what is left; there is one for every stride that
begins within the audio. As at most half of a segment overlaps the next, no sample lies in more than two, and only the
last two can be shorter than `length`.

Source: EnCodec (arXiv 2210.13438, section 3.1): segments of 1 s that overlap by 1%.
"""

from dataclasses import dataclass

from codec.checks import check


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """Segments of `length` samples, each beginning `overlap` samples before the end of the one before it."""

    length: int
    overlap: int

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: A value is out of range.
        """
        check(self.length >= 1, "length", self.length, "at least 1")
        check(0 <= 2 * self.overlap <= self.length, "overlap", self.overlap, f"at most half of {self.length=}")

    @property
    def stride(self) -> int:
        """Samples from the beginning of one segment to that of the next."""
        return self.length - self.overlap

    def count(self, num_samples: int) -> int:
        """Return how many segments `num_samples` samples make."""
        return -(-num_samples // self.stride)

    def samples(self, index: int, num_samples: int) -> int:
        """Return how many of `num_samples` samples segment `index` covers."""
        return min(self.length, num_samples - index * self.stride)

    def frames(self, index: int, num_samples: int, hop_length: int) -> int:
        """Return the frames of segment `index`."""
        return -(-self.samples(index, num_samples) // hop_length)

    def num_frames(self, num_samples: int, hop_length: int) -> int:
        """Return the frames of all segments."""
        whole = self.num_whole(num_samples)
        rest = range(whole, self.count(num_samples))
        return whole * -(-self.length // hop_length) + sum(self.frames(i, num_samples, hop_length) for i in rest)

    def num_whole(self, num_samples: int) -> int:
        """Return how many segments, the first ones, are `length` samples long."""
        return max(0, (num_samples - self.length) // self.stride + 1)

    def covering(self, start: int, stop: int) -> range:
        """Return the segments in which any sample from `start` up to, and without, `stop` lies."""
        return range(max(0, (start - self.length) // self.stride + 1), -(-stop // self.stride))
