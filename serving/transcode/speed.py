"""How fast a core of this machine is at a model: a second of its work on noise, in windows as files are cut into."""

from __future__ import annotations

import time

import torch

from codec.chunked import WINDOW_FRAMES
from codec.segments import decode_segments, encode_segments
from codec.weights import LoadedPackage, load_package
from serving.transcode.order import Order

MEASURED_SECONDS = 1.0
# The longest window that is coded to find out; a segment is what a codec that goes in segments takes.
_WINDOW_FRAMES = min(256, WINDOW_FRAMES)


def measure_speed(order: Order) -> float:
    """Return the seconds of audio, of one stream, that one thread codes in a second.

    Raises:
        PackageError: The model can't be loaded.
    """
    model = load_package(order.package, order.device)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _measure(model, order)
    finally:
        torch.set_num_threads(threads)


def _measure(model: LoadedPackage, order: Order) -> float:
    codec, config = model.codec, model.package.config
    frames = _WINDOW_FRAMES if config.segments is None else config.segments.length // config.hop_length
    shape = (1, config.channels, frames * config.hop_length)
    audio = (0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(order.device)
    stages = config.resolve_num_quantizers(order.settings.num_quantizers)
    if config.segments is not None:
        segments = encode_segments(codec, audio, num_quantizers=stages)

    def code() -> None:
        if config.segments is None and order.settings.decode:
            codec.decode(codes)
        elif config.segments is None:
            codec.encode(audio, num_quantizers=stages, denoise=order.settings.denoise)
        elif order.settings.decode:
            decode_segments(codec, segments, num_samples=audio.shape[-1])
        else:
            encode_segments(codec, audio, num_quantizers=stages)

    codes = codec.encode(audio, num_quantizers=stages) if config.segments is None else audio
    code()
    started, times = time.perf_counter(), 0
    while time.perf_counter() - started < MEASURED_SECONDS:
        code()
        times += 1
    return times * audio.shape[-1] / config.sample_rate / (time.perf_counter() - started)
