"""A package as ONNX: a folder that any runtime can use, and that needs nothing of Nacre.

    encoder.onnx, decoder.onnx      whole files
    {encoder,decoder}_stream_start.onnx, {encoder,decoder}_stream.onnx
                                    causal codecs: the first piece and the following ones, the state going in and out
    onnx.json                       the codec's configuration and fingerprint, what each graph takes and gives, and how
                                    streams and segments are to be handled

docs/onnx.md says how to use them. It lives in serving and not in codec, which has torch, numpy, safetensors and an
audio library alone: this is one more way to hand a model out, beside the Bento.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from codec.errors import MissingToolError, PackageError
from codec.files import TEMPORARY_PREFIX, sync_directory, write_text
from codec.weights import LoadedPackage, load_package
from serving.onnx_graphs import Graph, whole_graphs
from serving.onnx_layers import in_onnx_words
from serving.onnx_streams import stream_graphs

OPSET = 18
DESCRIPTION = "onnx.json"
NEEDED = ("onnx", "onnxscript")
STREAMS = (
    "The first piece goes to the _start graph and has at least its min_frames hops or frames; audio shorter than that "
    "goes to encoder.onnx and decoder.onnx. Fill a last hop that is not whole up with zeros: the last frame is then "
    "the one of the audio with these zeros."
)
NO_STREAMS = "There are no graphs that code piece by piece: only causal codecs can."
SEGMENTS = (
    "The graphs code one segment at a time, with its scale beside its codes. Segment i begins at sample "
    "i * (length - overlap) of the audio and has `length` samples, or what is left; both are in codec.network.segments."
)


def export_onnx(package: Path, out: Path) -> list[Path]:
    """Export a package to the new folder `out`, which appears whole or not at all; return its files.

    Raises:
        MissingToolError: The optional extra `onnx` is not installed.
        PackageError: The package is not whole, or `out` exists already.
    """
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        hint = "install Nacre with its extra: pip install 'nacre[onnx]'"
        raise MissingToolError(f"exporting to ONNX needs the package '{missing[0]}': {hint}")
    if out.exists():
        raise PackageError(f"'{out}' exists already: choose another folder or remove it")
    loaded = load_package(package)
    out.parent.mkdir(parents=True, exist_ok=True)
    staging = out.with_name(f"{TEMPORARY_PREFIX}{out.name}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        codec = in_onnx_words(loaded.codec)
        graphs = whole_graphs(codec) + stream_graphs(codec)
        for graph in graphs:
            _write_graph(graph, staging / f"{graph.name}.onnx")
        write_text(staging / DESCRIPTION, json.dumps(_describe(loaded, graphs), indent=2) + "\n")
        sync_directory(staging)
        staging.rename(out)
        sync_directory(out.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return sorted(out.iterdir())


def _write_graph(graph: Graph, path: Path) -> None:
    with _quiet():
        program = torch.onnx.export(
            graph.module.eval(),
            graph.example,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[port.name for port in graph.inputs],
            output_names=[port.name for port in graph.outputs],
            dynamic_shapes=_dynamic_shapes(graph),
        )
        assert program is not None
        _name_axes(program, graph)
        program.save(path)


def _name_axes(program: torch.onnx.ONNXProgram, graph: Graph) -> None:
    """Call the axes of any length by the words of the ports, not by the exporter's formulas."""
    from onnx_ir import Shape

    ends = program.model.graph
    for value, port in zip((*ends.inputs, *ends.outputs), (*graph.inputs, *graph.outputs), strict=True):
        assert value.name == port.name
        value.shape = Shape(port.shape)


def _dynamic_shapes(graph: Graph) -> tuple[Any, ...]:
    """Return the axes of any length, grouped as `forward` takes its arguments: one, and all others."""
    shapes = [
        {axis: torch.export.Dim.DYNAMIC for axis, length in enumerate(port.shape) if isinstance(length, str)}
        for port in graph.inputs
    ]
    return (shapes[0], tuple(shapes[1:])) if len(shapes) > 1 else (shapes[0],)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks about itself from whoever only wants files."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _describe(loaded: LoadedPackage, graphs: list[Graph]) -> dict[str, Any]:
    """Return what `onnx.json` holds."""
    return {
        "codec": json.loads(loaded.codec.config.to_json()),
        "fingerprint": loaded.package.fingerprint,
        "opset": OPSET,
        "streams": STREAMS if any("stream" in graph.name for graph in graphs) else NO_STREAMS,
        "segments": None if loaded.codec.config.segments is None else SEGMENTS,
        "graphs": {
            f"{graph.name}.onnx": {
                "inputs": [dataclasses.asdict(port) for port in graph.inputs],
                "outputs": [dataclasses.asdict(port) for port in graph.outputs],
                "min_frames": graph.min_frames,
            }
            for graph in graphs
        },
    }
