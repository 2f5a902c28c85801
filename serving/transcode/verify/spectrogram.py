"""A spectrogram as PNG, to see what a page lets hear: 25 ms windows, 80 dB from the loudest down, the same for a pair.

Axes: samples [C, T], which are averaged; the picture has time to the right and frequency upwards.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 360, 96
WINDOW_SECONDS = 0.025
RANGE_DB = 80.0
# Dark to light, as colours that also differ in grey.
_ANCHORS = np.array([(8, 6, 30), (74, 18, 107), (161, 48, 107), (229, 92, 48), (251, 165, 36), (252, 255, 200)])


def loudness(samples: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """Return levels in dB, [HEIGHT, WIDTH], the lowest frequency first."""
    mono = samples.mean(axis=0, dtype=np.float64)
    length = max(16, round(WINDOW_SECONDS * sample_rate))
    starts = np.linspace(0, max(0, mono.size - length), WIDTH).astype(int)
    padded = np.pad(mono, (0, max(0, length - mono.size)))
    frames = padded[starts[:, None] + np.arange(length)] * np.hanning(length)
    power = np.abs(np.fft.rfft(frames, n=max(length, 2 * HEIGHT))) ** 2
    edges = np.linspace(0, power.shape[1], HEIGHT + 1).astype(int)
    bands = np.maximum.reduceat(power, edges[:-1], axis=1)
    decibels: NDArray[np.float64] = 10 * np.log10(bands.T + 1e-12)
    return decibels


def spectrogram_png(levels: NDArray[np.float64], loudest: float) -> bytes:
    """Return the picture of `levels`, whose brightest colour is at `loudest` dB."""
    shares = np.clip(1 + (levels[::-1] - loudest) / RANGE_DB, 0, 1)
    rows = np.round(shares * 255).astype(np.uint8)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 8, 3, 0, 0, 0)
    parts = [(b"IHDR", header), (b"PLTE", _palette()), (b"IDAT", zlib.compress(data, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in parts)


def _palette() -> bytes:
    places = np.linspace(0, 255, len(_ANCHORS))
    channels = [np.interp(np.arange(256), places, _ANCHORS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8).tobytes()


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
