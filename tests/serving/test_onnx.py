"""Exported graphs in onnxruntime: the codes and audio of the codec, whole and piece by piece."""

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from codec.config import CodecConfig, QuantizerConfig
from codec.dac.config import DacConfig
from codec.errors import MissingToolError, PackageError
from codec.model import Codec
from codec.nacre.config import NacreConfig
from codec.seanet.config import SeanetConfig
from codec.segmentation import Segmentation
from codec.segments import decode_segments, encode_segments
from codec.weights import write_package
from nacre import cli
from serving.onnx_export import export_onnx

onnxruntime = pytest.importorskip("onnxruntime")

DOCS = Path(__file__).parents[2] / "docs"
STAGES = 2
EMA = QuantizerConfig(num_quantizers=STAGES, codebook_size=16)
FACTORIZED = QuantizerConfig(kind="factorized", codebook_dim=4, num_quantizers=STAGES, codebook_size=16)
SPECTRAL = {
    "width": 16,
    "kernel_size": 3,
    "encoder_blocks": 1,
    "decoder_blocks": 1,
    "level_bands": 2,
}
SEGMENTS = Segmentation(length=80, overlap=10)
# family, channels, hop, quantizer, network
CODECS = {
    "nacre": ("nacre", 2, 16, FACTORIZED, NacreConfig(**SPECTRAL)),
    "nacre-causal": ("nacre", 2, 16, EMA, NacreConfig(**SPECTRAL, causal=True)),
    "encodec": ("seanet", 1, 2, EMA, SeanetConfig(filters=4, ratios=(2,), lstm_layers=1, conv_shortcut=False)),
    "soundstream": (
        "seanet",
        1,
        4,
        EMA,
        SeanetConfig(filters=4, ratios=(4,), lstm_layers=0, residual_units=0, padding="constant", denoising=True),
    ),
    "segments": (
        "seanet",
        2,
        8,
        EMA,
        SeanetConfig(filters=4, ratios=(8,), causal=False, norm="time_group", lstm_layers=0, segments=SEGMENTS),
    ),
    "dac": (
        "dac",
        1,
        5,
        FACTORIZED,
        DacConfig(encoder_width=4, encoder_rates=(5,), decoder_width=8, decoder_rates=(5,), dilations=(3,)),
    ),
}


def make_codec(family, channels, hop, quantizer, network):
    torch.manual_seed(0)
    settings = {"sample_rate": 8_000, "hop_length": hop, "latent_dim": 8, "channels": channels}
    codec = Codec(CodecConfig(name="tiny", family=family, quantizer=quantizer, network=network, **settings))
    audio = noise(4, channels, 2000)
    codec.initialize_network(audio)
    with torch.no_grad():
        for parameter in codec.parameters():
            # As drawn, the convolutions' latents hardly vary, and codes would be near ties.
            if family != "nacre" and parameter.dim() == 3:
                parameter.mul_(2)
    if codec.config.can_denoise:
        torch.nn.init.normal_(codec.encoder.film.table.weight)
    codec.initialize_codebooks(audio)
    return codec.eval()


def noise(batch, channels, length):
    return 0.3 * torch.randn(batch, channels, length, generator=torch.Generator().manual_seed(length))


def export(codec, folder):
    """Return the folder of a codec's graphs, made by the command."""
    write_package(folder / "package", codec, metrics={}, lineage={})
    words = ["codec", "export-onnx", "--model", str(folder / "package"), "--out", str(folder / "graphs")]
    printed = CliRunner().invoke(cli, words, catch_exceptions=False).output
    assert [line.partition(": ")[0] for line in printed.splitlines()] == sorted(map(str, (folder / "graphs").iterdir()))
    return folder / "graphs"


def run(folder, name, **inputs):
    session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
    given = {key: value.numpy() for key, value in inputs.items()}
    return [torch.from_numpy(output) for output in session.run(None, given)]


@pytest.mark.parametrize("name", CODECS)
def test_exported_graphs_give_the_codec_s_codes_and_audio(tmp_path, name):
    """One test a codec, since exporting takes longest."""
    codec = make_codec(*CODECS[name])
    folder = export(codec, tmp_path)
    check_description(codec, folder)
    if codec.config.segments is not None:
        check_segments(codec, folder)
        return
    check_whole(codec, folder)
    if can_stream(codec):
        check_streams(codec, folder)


def check_description(codec, folder):
    described = json.loads((folder / "onnx.json").read_text())
    assert CodecConfig.from_mapping(described["codec"]) == codec.config
    assert len(described["fingerprint"]) == 64
    causal, segmented = can_stream(codec), codec.config.segments is not None
    assert ("only causal codecs can" in described["streams"]) != causal
    assert (described["segments"] is not None) == segmented
    streams = ["", "_stream", "_stream_start"] if causal else [""]
    assert set(described["graphs"]) == {f"{part}{which}.onnx" for part in ("encoder", "decoder") for which in streams}
    assert {path.name for path in folder.iterdir()} == {"onnx.json", *described["graphs"]}
    for name, graph in described["graphs"].items():
        session = onnxruntime.InferenceSession(folder / name)
        for ports, values in ((graph["inputs"], session.get_inputs()), (graph["outputs"], session.get_outputs())):
            assert [(port["name"], port["shape"]) for port in ports] == [(value.name, value.shape) for value in values]


def check_whole(codec, folder):
    """Every length and batch, and every number of stages; each item denoised or not, if the codec can."""
    hop = codec.config.hop_length
    for batch, length in ((1, 1), (2, 2), (1, hop), (3, hop + 1), (2, 7 * hop - 1), (2, 1000), (1, 2311)):
        audio = noise(batch, codec.config.channels, length)
        codes = codec.encode(audio)
        assert torch.equal(run(folder, "encoder", audio=audio, **plainly(codec, batch))[0], codes)
        for stages in range(1, STAGES + 1):
            (decoded,) = run(folder, "decoder", codes=codes[:, :stages])
            torch.testing.assert_close(decoded, codec.decode(codes[:, :stages]), atol=1e-4, rtol=0)
    assert all(len(stage.unique()) > 3 for stage in codes[0])
    assert decoded.std() > 1e-3
    if codec.config.can_denoise:
        audio = noise(2, 1, 333)
        plain, clean = codec.encode(audio), codec.encode(audio, denoise=True)
        assert not torch.equal(plain, clean)
        (codes,) = run(folder, "encoder", audio=audio, denoise=torch.tensor([True, False]))
        assert torch.equal(codes, torch.stack([clean[0], plain[1]]))


def check_streams(codec, folder):
    """The documentation's own code, piece by piece as the codec streams; then what the graphs refuse."""
    described = json.loads((folder / "onnx.json").read_text())["graphs"]
    first = max(described[f"{part}_stream_start.onnx"]["min_frames"] for part in ("encoder", "decoder"))
    reflects = codec.config.family == "seanet" and codec.config.network.padding == "reflect"
    assert first == (7 if reflects else 1)
    for batch, hops in ((1, [first, 1]), (2, [first, 2, 1, 5]), (1, [first + 3])):
        for denoise in {False, codec.config.can_denoise}:
            check_stream(codec, folder, batch, itertools.chain(hops, itertools.repeat(hops[-1])), denoise=denoise)
    hop, names = codec.config.hop_length, documented(folder)
    for samples in ((first - 1) * hop, first * hop + 1):
        audio = noise(1, codec.config.channels, samples).numpy()
        with pytest.raises(Exception, match="ONNXRuntimeError"):
            names["Stream"]("encoder")(audio=audio, **numpy(plainly(codec, 1)))


def check_stream(codec, folder, batch, hops, *, denoise):
    """Stream audio that ends within a hop, filled up with zeros."""
    names, hop = documented(folder), codec.config.hop_length
    encode, decode = names["encode"], names["decode"]
    audio = noise(batch, codec.config.channels, 30 * hop - 1)
    rest, codes = torch.nn.functional.pad(audio, (0, 1)), []
    conditions = numpy({key: value | denoise for key, value in plainly(codec, batch).items()})
    with codec.streaming(batch, denoise=denoise) as stream:
        while rest.shape[-1]:
            piece, rest = rest.tensor_split([next(hops) * hop], dim=-1)
            codes.append(torch.from_numpy(encode(audio=piece.numpy(), **conditions)["codes"]))
            conditions = {}
            assert torch.equal(codes[-1], stream.encode(piece))
            outputs = decode(codes=codes[-1].numpy())
            assert_close(outputs["audio"], stream.decode(codes[-1]))
        assert_close(outputs["rest"], stream.finish_decoding())
    whole = codec.encode(audio, denoise=denoise)
    last = None if codec.config.family == "nacre" else -1
    assert torch.equal(torch.cat(codes, -1)[..., :last], whole[..., :last])


def check_segments(codec, folder):
    """Each segment of the documentation's rule, alone and beside another."""
    stride, length = SEGMENTS.stride, SEGMENTS.length
    audio = 0.2 * noise(2, 2, 2 * stride + 33)
    coded = encode_segments(codec, audio)
    parts = [run(folder, "encoder", audio=audio[..., i * stride : i * stride + length]) for i in range(3)]
    assert torch.equal(torch.cat([codes for codes, _ in parts], -1), coded.codes)
    torch.testing.assert_close(torch.cat([scale for _, scale in parts], -1), coded.scales)
    assert coded.scales.std() > 0
    decoded = [run(folder, "decoder", codes=codes, scale=scale)[0] for codes, scale in parts]
    expected = decode_segments(codec, coded, num_samples=audio.shape[-1])
    weights = torch.arange(1, SEGMENTS.overlap + 1) / (SEGMENTS.overlap + 1)
    joined = decoded[0][..., :length]
    for part in decoded[1:]:
        faded = torch.lerp(joined[..., -SEGMENTS.overlap :], part[..., : SEGMENTS.overlap], weights)
        joined = torch.cat([joined[..., : -SEGMENTS.overlap], faded, part[..., SEGMENTS.overlap :]], -1)
    assert_close(joined[..., : audio.shape[-1]], expected)


def can_stream(codec):
    return codec.config.family != "dac" and codec.config.network.causal


def documented(folder):
    """Return what the documentation's code defines."""
    code = re.search(r"```python\n(.*?)```", (DOCS / "onnx.md").read_text(), re.DOTALL)[1]
    names = {}
    exec(code.replace("DIR", str(folder)), names)  # noqa: S102  # our own documentation
    return names


def plainly(codec, batch):
    """Return the input that an encoder which can denoise has besides the audio."""
    return {"denoise": torch.zeros(batch, dtype=torch.bool)} if codec.config.can_denoise else {}


def numpy(tensors):
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def assert_close(audio, expected):
    torch.testing.assert_close(torch.as_tensor(audio), expected, atol=1e-4, rtol=0)


def test_a_folder_that_exists_is_left_alone_and_a_failure_leaves_nothing(tmp_path, package, monkeypatch):
    (tmp_path / "graphs").mkdir()
    with pytest.raises(PackageError, match="exists already"):
        export_onnx(package, tmp_path / "graphs")
    with pytest.raises(PackageError, match="no package folder"):
        export_onnx(tmp_path / "none", tmp_path / "other")
    monkeypatch.setattr("serving.onnx_export.torch.onnx.export", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export_onnx(package, tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["graphs"]


def test_without_the_extra_one_sentence_says_so(tmp_path, package, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match=r"pip install 'nacre\[onnx\]'"):
        export_onnx(package, tmp_path / "graphs")
    assert list(tmp_path.iterdir()) == []


def test_commands_load_nothing_of_onnx_until_it_is_exported():
    code = "import sys, serving.codec_commands, serving.onnx_export; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"onnx", "onnxscript", "onnxruntime"} & set(done.stdout.split())
