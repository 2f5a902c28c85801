"""What people put before a codec without us: servers that benchmarks/serving.py measures beside ours.

    python benchmarks/handlers.py plain|encodec PORT [PACKAGE]

`plain` is a FastAPI handler, one request one forward, in FastAPI's threads; `encodec` the same around transformers'
EncodecModel. They read a wav and answer codes as bytes, without a container: less than ours does.
"""

import io
import sys
from pathlib import Path
from typing import Any

if not __package__:  # Run as a file: beside it `codec` would be this module.
    sys.path[0] = str(Path(__file__).parents[1])

import numpy as np
import soundfile
import torch
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from codec.weights import load_package


def read(body: bytes) -> torch.Tensor:
    """Return the wav's samples [1, 1, T]."""
    samples, _ = soundfile.read(io.BytesIO(body), dtype="float32")
    return torch.from_numpy(samples)[None, None]


def answer(codes: torch.Tensor) -> Response:
    """Return codes as bytes."""
    return Response(codes.numpy().astype(np.uint16).tobytes(), media_type="application/octet-stream")


def plain(package: str) -> FastAPI:
    """Return one forward per request."""
    codec = load_package(Path(package)).codec
    return _app(lambda audio: codec.encode(audio))


def encodec() -> FastAPI:
    """Return transformers' EnCodec at 24 kHz and 6 kbps, with random weights."""
    from transformers import EncodecConfig, EncodecModel

    model = EncodecModel(EncodecConfig()).eval()

    def encode(audio: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            codes: torch.Tensor = model.encode(audio, bandwidth=6.0).audio_codes
        return codes

    return _app(encode)


def _app(encode: Any) -> FastAPI:
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
