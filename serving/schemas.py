"""What the API's parameters and JSON answers look like, as OpenAPI shows them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from codec.config import CodecConfig

AudioFormat = Literal["wav", "flac"]


class EncodeParameters(BaseModel):
    """How to encode; give a bitrate or a number of stages, or neither for the best the model has."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    bitrate_kbps: Annotated[float | None, Field(description="one of the model's bitrates, see /v1/models")] = None
    num_quantizers: Annotated[int | None, Field(description="quantizer stages to use, from 1")] = None
    denoise: Annotated[bool, Field(description="leave noise out; only a model with can_denoise does")] = False


class DecodeParameters(BaseModel):
    """What to decode to."""

    model_config = ConfigDict(extra="forbid")

    format: Annotated[AudioFormat, Field(description="format of the audio file returned")] = "wav"


class ModelFacts(BaseModel):
    """A model that is served."""

    name: str
    reference: str
    fingerprint: str
    sample_rate: int
    channels: int
    hop_length: int
    frame_rate: float
    num_quantizers: int
    codebook_size: int
    bitrates_kbps: list[float]
    can_denoise: bool

    @classmethod
    def of(cls, config: CodecConfig, reference: str, fingerprint: str) -> ModelFacts:
        """Collect the facts that a client needs."""
        return cls(
            name=config.name,
            reference=reference,
            fingerprint=fingerprint,
            sample_rate=config.sample_rate,
            channels=config.channels,
            hop_length=config.hop_length,
            frame_rate=config.frame_rate,
            num_quantizers=config.quantizer.num_quantizers,
            codebook_size=config.quantizer.codebook_size,
            bitrates_kbps=list(config.bitrates_kbps),
            can_denoise=config.can_denoise,
        )


class ModelList(BaseModel):
    """Every model that is served."""

    models: list[ModelFacts]


class Health(BaseModel):
    """A probe's good answer."""

    status: Literal["ok"] = "ok"


class ErrorDetail(BaseModel):
    """A stable word for programs and a sentence for people."""

    code: str
    message: str


class ErrorBody(BaseModel):
    """Every failure's body."""

    error: ErrorDetail
    request_id: str
