"""Lyra v2 (Google, Apache-2.0) by its three TFLite graphs and ai-edge-litert; 16 kHz, mono.

The graphs are `lyra/model_coeffs/*.tflite` of github.com/google/lyra. An encoder turns 20 ms into 64 features, a
residual quantizer these into indices of 4 bits, of which a bitrate keeps the first 16, 30 or 46, and a decoder the
features into 20 ms. Encoder and decoder are causal and carry their state from frame to frame; no delay was measured.

Deviations: the bytes are the packets' payload, which Lyra's own program writes too, without a header. Lyra's noise
suppression, bandwidth extension and packet loss handling are left out. Time is this process's processor time, without
loading; the graphs run on one thread.
"""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec.audio import Audio, fit_length, resample
from codec.errors import MissingToolError
from training.evaluation.codecs.base import Coded
from training.evaluation.codecs.rules import check_bitrate, check_channels
from training.evaluation.codecs.tool import restore

SAMPLE_RATE = 16_000
FRAME = 320
NUM_FEATURES, MAX_INDICES = 64, 46
NUM_INDICES = {3.2: 16, 6.0: 30, 9.2: 46}
ENCODER, QUANTIZER, DECODER = "soundstream_encoder.tflite", "quantizer.tflite", "lyragan.tflite"
# What a decoder is given for an index that wasn't sent.
NOT_SENT = -1


@dataclass(frozen=True)
class LyraPoint:
    """Lyra v2 at a bitrate; `directory` holds its graphs."""

    bitrate_kbps: float
    directory: Path = field(repr=False)

    def __post_init__(self) -> None:
        check_bitrate(self.codec, self.bitrate_kbps, list(NUM_INDICES))

    @property
    def codec(self) -> str:
        """Return the codec's name."""
        return "lyra"

    def code(self, audio: Audio) -> Coded:
        """Encode and decode a clip; see `OperatingPoint`."""
        check_channels(self.codec, audio, 1)
        encoder, decoder = (_load(self.directory, name) for name in (ENCODER, DECODER))
        quantizer = _load(self.directory, QUANTIZER)
        num_indices = NUM_INDICES[self.bitrate_kbps]
        prepared = resample(audio, SAMPLE_RATE).samples[0]
        started = time.process_time()
        data = _encode(prepared, num_indices, encoder, quantizer)
        encoded = time.process_time()
        samples = _decode(data, num_indices, decoder, quantizer)
        finished = time.process_time()
        return Coded(
            num_bytes=len(data),
            reconstruction=restore(Audio(samples=samples[None], sample_rate=SAMPLE_RATE), audio),
            encode_s=encoded - started,
            decode_s=finished - encoded,
        )


def pack_nibbles(indices: NDArray[np.uint8]) -> bytes:
    """Pack indices [L, K] of 4 bits, K even, two to a byte, the first above."""
    return (indices[:, 0::2] << 4 | indices[:, 1::2]).astype(np.uint8).tobytes()


def unpack_nibbles(data: bytes, num_indices: int) -> NDArray[np.uint8]:
    """Return the indices [L, K] of `pack_nibbles`."""
    packed = np.frombuffer(data, np.uint8).reshape(-1, num_indices // 2)
    return np.stack([packed >> 4, packed & 15], axis=2).reshape(len(packed), num_indices)


def _encode(samples: NDArray[np.float32], num_indices: int, encoder: Any, quantizer: Any) -> bytes:
    num_frames = -(-len(samples) // FRAME)
    frames = fit_length(samples[None], num_frames * FRAME).reshape(num_frames, 1, FRAME)
    quantize = quantizer.get_signature_runner("encode")
    wanted = np.array(num_indices, np.int32)
    rows = [
        quantize(input_frames=_invoke(encoder, frame), num_quantizers=wanted)["output_0"].reshape(-1)[:num_indices]
        for frame in frames
    ]
    return pack_nibbles(np.stack(rows).astype(np.uint8))


def _decode(data: bytes, num_indices: int, decoder: Any, quantizer: Any) -> NDArray[np.float32]:
    dequantize = quantizer.get_signature_runner("decode")
    frames = []
    for indices in unpack_nibbles(data, num_indices):
        padded = np.full((MAX_INDICES, 1, 1), NOT_SENT, np.int32)
        padded[:num_indices, 0, 0] = indices
        features = dequantize(encoding_indices=padded)["output_0"].reshape(1, 1, NUM_FEATURES)
        frames.append(_invoke(decoder, features).reshape(-1))
    return np.concatenate(frames)


def _invoke(graph: Any, value: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a graph of one input and one output, which remembers what it ran before."""
    graph.set_tensor(graph.get_input_details()[0]["index"], value)
    graph.invoke()
    return np.asarray(graph.get_tensor(graph.get_output_details()[0]["index"]), np.float32)


def _load(directory: Path, name: str) -> Any:
    """Load a graph, with its memory empty."""
    try:
        interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter
    except ImportError:
        raise MissingToolError("lyra needs the package 'ai-edge-litert': pip install 'nacre[metrics]'") from None
    path = directory / name
    if not path.is_file():
        raise MissingToolError(f"'{directory}' lacks {name}: give the folder of Lyra v2's three .tflite files")
    try:
        graph = interpreter(str(path), num_threads=1)
    except (ValueError, RuntimeError) as error:
        raise MissingToolError(f"'{path}' is no graph of Lyra v2: {str(error).splitlines()[0]}") from None
    graph.allocate_tensors()
    return graph
