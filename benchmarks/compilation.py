"""Where `torch.compile` pays: each family eager and compiled, encoding and decoding, on a clip of fixed length."""

import time
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import DacConfig, DacModel, EncodecConfig, EncodecModel

from benchmarks.peers import default_codec, noise, own_dac, own_encodec
from benchmarks.timing import median_seconds
from codec.model import Codec

FAMILIES: dict[str, Callable[[], Codec]] = {
    "nacre": default_codec,
    "seanet (EnCodec 24 kHz)": lambda: own_encodec(EncodecModel(EncodecConfig())),
    "dac (24 kHz)": lambda: own_dac(DacModel(DacConfig(sampling_rate=24_000, n_codebooks=32))),
}


def compile_speedups(batch: int, seconds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return for each family and step how many times faster it runs compiled, and what compiling takes in seconds."""
    results: dict[str, dict[str, dict[str, float]]] = {}
    with torch.inference_mode():
        for name, build in FAMILIES.items():
            codec = build().eval()
            audio = noise(batch, seconds, codec.config.sample_rate)
            latents = codec.encoder(audio)
            results[name] = {
                "encode": _compare(f"{name}, encoder", codec.encoder, audio),
                "decode": _compare(f"{name}, decoder", codec.decoder, latents),
            }
    return results


def _compare(what: str, network: torch.nn.Module, inputs: Tensor) -> dict[str, float]:
    torch.compiler.reset()
    compiled = torch.compile(network)
    start = time.perf_counter()
    compiled(inputs)
    compile_s = time.perf_counter() - start
    actions = {"eager": lambda: network(inputs), "compiled": lambda: compiled(inputs)}
    seconds = median_seconds(actions, what=what)
    return {"speedup": seconds["eager"] / seconds["compiled"], "compile_s": compile_s}
