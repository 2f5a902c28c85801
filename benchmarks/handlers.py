"""What people put before a codec without us: servers that benchmarks/serving.py measures beside ours.

    python benchmarks/handlers.py plain|encodec PORT [PACKAGE]

`plain` is a FastAPI handler, one request one forward, in FastAPI's threads, and answers the container that ours
answers; `encodec` the same around transformers' EncodecModel, and answers bare codes.
"""

import io
import sys
from collections.abc import Callable
from pathlib import Path

if not __package__:  # Run as a file: beside it `codec` would be this module.
    sys.path[0] = str(Path(__file__).parents[1])

import numpy as np
import soundfile
import torch
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from codec.compress import container_of
from codec.weights import LoadedPackage, load_package

BITRATE_KBPS = 6.0


def stages(model: LoadedPackage) -> int:
    """Return how many quantizers of the model make the bitrate of all."""
    return model.package.config.resolve_num_quantizers(None, BITRATE_KBPS)


def read(body: bytes) -> torch.Tensor:
    """Return the wav's samples [1, 1, T]."""
    samples, _ = soundfile.read(io.BytesIO(body), dtype="float32")
    return torch.from_numpy(samples)[None, None]


def answer(data: bytes) -> Response:
    """Answer with bytes."""
    return Response(data, media_type="application/octet-stream")


def container(model: LoadedPackage, codes: torch.Tensor, num_samples: int) -> bytes:
    """Return the container of codes [1, K, L] of so many samples at the codec's rate."""
    return container_of(model, codes.numpy(), None, 1, model.package.config.sample_rate, num_samples)


def plain(package: str) -> FastAPI:
    """Return one forward per request."""
    model = load_package(Path(package))
    return _app(
        lambda audio: container(model, model.codec.encode(audio, num_quantizers=stages(model)), audio.shape[-1])
    )


def encodec() -> FastAPI:
    """Return transformers' EnCodec at 24 kHz and 6 kbps, with random weights; it answers codes as bytes."""
    from transformers import EncodecConfig, EncodecModel

    model = EncodecModel(EncodecConfig()).eval()

    def encode(audio: torch.Tensor) -> bytes:
        with torch.inference_mode():
            codes: torch.Tensor = model.encode(audio, bandwidth=BITRATE_KBPS).audio_codes
        return bytes(codes.numpy().astype(np.uint16))

    return _app(encode)


def _app(encode: Callable[[torch.Tensor], bytes]) -> FastAPI:
    app = FastAPI()

    @app.post("/encode")
    async def handle(request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(lambda: answer(encode(read(body))))

    @app.get("/health")
    def health() -> str:
        return "ok"

    return app


def main() -> None:
    """Serve until killed."""
    kind, port, *rest = sys.argv[1:]
    app = plain(rest[0]) if kind == "plain" else encodec()
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
