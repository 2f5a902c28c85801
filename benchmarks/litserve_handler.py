"""LitServe before a codec of ours, batched as its documentation shows: a server for benchmarks/serving.py.

    python benchmarks/litserve_handler.py PORT PACKAGE

It pads a batch to its longest item, and answers the container that ours answers.
"""

import sys
from pathlib import Path
from typing import Any

if not __package__:  # Run as a file: beside it `codec` would be this module.
    sys.path[0] = str(Path(__file__).parents[1])

import litserve
import torch
from fastapi import Request, Response

from benchmarks.handlers import answer, container, read, stages
from codec.weights import load_package


class CodecApi(litserve.LitAPI):  # type: ignore[misc]  # untyped
    """Encodes the wav in a form."""

    def __init__(self, package: str) -> None:
        super().__init__(max_batch_size=16, batch_timeout=0.002, api_path="/encode")
        self.package = package

    def setup(self, device: str) -> None:
        """Load the model, in the worker."""
        self.model = load_package(Path(self.package))

    def decode_request(self, request: Request) -> torch.Tensor:
        """Return the samples [1, T] of the file in the form, which is what LitServe makes of a `Request`."""
        form: Any = request
        return read(form["file"].file.read())[0]

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        """Pad to the longest."""
        self.lengths = [audio.shape[-1] for audio in inputs]
        longest = max(self.lengths)
        return torch.stack([torch.nn.functional.pad(audio, (0, longest - audio.shape[-1])) for audio in inputs])

    def predict(self, audio: torch.Tensor) -> torch.Tensor:
        """Encode a batch [B, 1, T]."""
        return self.model.codec.encode(audio, num_quantizers=stages(self.model))

    def unbatch(self, output: torch.Tensor) -> list[bytes]:
        """Return each item's container."""
        hop = self.model.package.config.hop_length
        items = zip(output, self.lengths, strict=True)
        return [container(self.model, codes[None, :, : -(-length // hop)], length) for codes, length in items]

    def encode_response(self, output: bytes) -> Response:
        """Answer with a container."""
        return answer(output)


def main() -> None:
    """Serve until killed."""
    port, package = sys.argv[1:]
    server = litserve.LitServer(CodecApi(package), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(port), generate_client_file=False)


if __name__ == "__main__":
    main()
