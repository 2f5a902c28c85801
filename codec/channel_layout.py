"""The speakers that a file's channels are for, as `FL+FR+FC+LFE+BL+BR`: ffmpeg's names, in the order of the channels.

Only what a file says is taken for known: the mask of WAVE_FORMAT_EXTENSIBLE, the order that FLAC prescribes (RFC 9639,
section 9.1.3) unless a mask among its tags says another, and the layout that ffmpeg reads. Mono and stereo say nothing
that their number of channels doesn't.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

# The bits of a WAVE mask, lowest first.
SPEAKERS = (
    *("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC"),
    *("SL", "SR", "TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR"),
)
FLAC_MASK_TAG = "waveformatextensible_channel_mask"

_FLAC = {3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}
_EXTENSIBLE = 0xFFFE
_MOST_CHUNKS = 64
_CHUNK = struct.Struct("<4sI")
_FMT = struct.Struct("<HH16xI")  # format, channels, mask


def layout_of_names(names: list[str]) -> str | None:
    """Return the layout of channels for these speakers; None if one is unknown, or of mono and stereo."""
    return "+".join(names) if len(names) > 2 and set(names) <= set(SPEAKERS) else None


def layout_of_mask(mask: int, channels: int) -> str | None:
    """Return the layout that a WAVE mask means; None if it doesn't fit the channels, or of mono and stereo."""
    names = [speaker for bit, speaker in enumerate(SPEAKERS) if mask >> bit & 1]
    return layout_of_names(names) if len(names) == channels and mask < 1 << len(SPEAKERS) else None


def mask_of_layout(layout: str | None, channels: int) -> int | None:
    """Return the WAVE mask of a layout; None if it has none, as in another order, or doesn't fit the channels."""
    names = (layout or "").split("+")
    mask = sum(1 << SPEAKERS.index(name) for name in set(names) if name in SPEAKERS)
    return mask if layout is not None and layout_of_mask(mask, channels) == layout else None


def read_wav_layout(file: BinaryIO) -> str | None:
    """Return what a wav file says of its channels; None if it says nothing."""
    if file.read(12)[8:] != b"WAVE":
        return None
    for _ in range(_MOST_CHUNKS):
        head = file.read(_CHUNK.size)
        if len(head) < _CHUNK.size:
            return None
        name, size = _CHUNK.unpack(head)
        if name == b"fmt ":
            data = file.read(min(size, _FMT.size))
            format, channels, mask = _FMT.unpack(data) if len(data) == _FMT.size else (0, 0, 0)
            return layout_of_mask(mask, channels) if format == _EXTENSIBLE else None
        file.seek(size + size % 2, 1)
    return None


def flac_layout(channels: int, tagged: str | None) -> str | None:
    """Return the layout of a FLAC file with that number of channels, and that mask among its tags."""
    try:
        mask = _FLAC.get(channels, 0) if tagged is None else int(tagged, 16)
    except ValueError:
        return None
    return layout_of_mask(mask, channels) if mask > 0 else None
