"""Bands of equal width on the mel scale (O'Shaughnessy 1987), which cut the frequencies of a frame up without overlap.

Axes: K frequencies of a frame; M bands.
"""

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def band_means(frequencies: int, bands: int, sample_rate: int) -> Tensor:
    """Return the matrix [K, M] that takes the mean of each band."""
    edges = band_edges(frequencies, bands, sample_rate)
    means = torch.zeros(frequencies, bands)
    for band, (start, stop) in enumerate(pairwise(edges)):
        means[start:stop, band] = 1 / (stop - start)
    return means


def band_spread(frequencies: int, bands: int, sample_rate: int) -> Tensor:
    """Return the matrix [M, K] that draws lines between the bands' centres, level beyond the outer ones."""
    edges = band_edges(frequencies, bands, sample_rate)
    centres = (edges[:-1] + edges[1:] - 1) / 2
    lines = [np.interp(np.arange(frequencies), centres, unit) for unit in np.eye(bands)]
    return torch.tensor(np.stack(lines), dtype=torch.float32)


def band_edges(frequencies: int, bands: int, sample_rate: int) -> NDArray[np.int64]:
    """Return where each band starts, and after them where the last one ends [M + 1]; no band is empty."""
    top = 2595 * np.log10(1 + sample_rate / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, bands + 1) / 2595) - 1)
    edges = np.round(hertz / (sample_rate / 2) * frequencies).astype(np.int64)
    at_least = np.arange(bands + 1)
    return np.clip(np.maximum.accumulate(edges - at_least) + at_least, at_least, frequencies - bands + at_least)
