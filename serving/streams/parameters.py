"""What the streams' URLs take."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.schemas import EncodeParameters

PcmFormat = Literal["s16", "f32"]
_PCM = Field(description="samples: 16-bit integers or 32-bit floats, little endian")


class EncodeStreamParameters(EncodeParameters):
    """How to encode, and what the PCM is; its rate and channels are the model's own unless given."""

    sample_rate: Annotated[int | None, Field(ge=1, description="of the PCM, in Hz")] = None
    channels: Annotated[int | None, Field(ge=1, description="of the PCM, interleaved")] = None
    format: Annotated[PcmFormat, _PCM] = "s16"
    block_ms: Annotated[int | None, Field(ge=20, le=1000, description="audio in a block of the container")] = None


class DecodeStreamParameters(BaseModel):
    """What PCM to decode to."""

    model_config = ConfigDict(extra="forbid")

    format: Annotated[PcmFormat, _PCM] = "s16"
