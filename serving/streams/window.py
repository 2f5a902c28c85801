"""How many frames a codec that isn't causal codes at a time, as they come."""

from __future__ import annotations

from codec.config import CodecConfig

# Windows are coded together with all neighbours that reach them: the shorter, the more is done twice.
SHORTEST_SECONDS = 0.1
LONGEST_SECONDS = 1.0


def window_frames(config: CodecConfig, frames_per_block: int) -> int:
    """Return a block's frames, or the nearest number within a tenth of a second to a second."""
    shortest = max(1, round(SHORTEST_SECONDS * config.frame_rate))
    longest = max(1, round(LONGEST_SECONDS * config.frame_rate))
    return min(max(frames_per_block, shortest), longest)
