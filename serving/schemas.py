"""What the API's parameters and JSON answers look like, as OpenAPI shows them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from codec.config import CodecConfig

AudioFormat = Literal["wav", "flac"]
BitDepth = Literal["16", "24", "float"]


class EncodeParameters(BaseModel):
    """How to encode; give a bitrate or a number of stages, or neither for the best the model has."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: Annotated[str | None, Field(description="a name from /v1/models; without it the first")] = None
    bitrate_kbps: Annotated[float | None, Field(description="one of the model's bitrates, see /v1/models")] = None
    num_quantizers: Annotated[int | None, Field(description="quantizer stages to use, from 1")] = None
    denoise: Annotated[bool, Field(description="leave noise out; only a model with can_denoise does")] = False


class OutputParameters(BaseModel):
    """Which audio file to return."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    format: Annotated[AudioFormat, Field(description="format of the audio file returned")] = "wav"
    bit_depth: Annotated[BitDepth, Field(description="of its samples; flac has no float")] = "16"

    @model_validator(mode="after")
    def _flac_has_no_float(self) -> Self:
        if (self.format, self.bit_depth) == ("flac", "float"):
            raise ValueError("flac has no float: take 16 or 24, or wav")
        return self

    @property
    def subtype(self) -> str:
        """The bit depth as libsndfile names it."""
        return {"16": "PCM_16", "24": "PCM_24", "float": "FLOAT"}[self.bit_depth]


class DecodeParameters(OutputParameters):
    """What to decode, and to what."""

    start: Annotated[float | None, Field(ge=0, description="decode from this second on")] = None
    duration: Annotated[float | None, Field(gt=0, description="decode so many seconds")] = None


class RoundtripParameters(EncodeParameters, OutputParameters):
    """How to encode, and what to decode to."""


class Refusal(BaseModel):
    """A newer version that was not taken, and why."""

    version: int
    reason: str


class ModelFacts(BaseModel):
    """A model that is served: `name` for requests, `codec` the architecture's name, `refused` a version that failed."""

    name: str
    reference: str
    version: int | None
    codec: str
    fingerprint: str
    sample_rate: int
    channels: int
    hop_length: int
    frame_rate: float
    num_quantizers: int
    codebook_size: int
    bitrates_kbps: list[float]
    can_denoise: bool
    refused: Refusal | None

    @classmethod
    def of(
        cls,
        config: CodecConfig,
        *,
        name: str,
        reference: str,
        version: int | None,
        fingerprint: str,
        refused: Refusal | None,
    ) -> ModelFacts:
        """Collect the facts that a client needs."""
        return cls(
            name=name,
            reference=reference,
            version=version,
            codec=config.name,
            fingerprint=fingerprint,
            sample_rate=config.sample_rate,
            channels=config.channels,
            hop_length=config.hop_length,
            frame_rate=config.frame_rate,
            num_quantizers=config.quantizer.num_quantizers,
            codebook_size=config.quantizer.codebook_size,
            bitrates_kbps=list(config.bitrates_kbps),
            can_denoise=config.can_denoise,
            refused=refused,
        )


class ModelList(BaseModel):
    """Every model that is served."""

    models: list[ModelFacts]


class StreamCodes(BaseModel):
    """The codes [K, L] of one stream, and the scales of its segments, of a codec that codes in segments."""

    codes: list[list[int]]
    scales: list[float]


class Codes(BaseModel):
    """A container's codes: `offsets[k] + codes[k][l]` numbers the entries of all stages as one vocabulary."""

    model: str
    fingerprint: str
    sample_rate: int
    hop_length: int
    frame_rate: float
    codebook_size: int
    num_quantizers: int
    num_samples: int
    channels: int
    source_sample_rate: int
    source_num_samples: int
    offsets: list[int]
    streams: list[StreamCodes]


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
