"""Exported graphs in onnxruntime: the codes and audio of the codec, whole and piece by piece."""

import functools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
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
from codec.weights import write_package
from nacre import cli
from serving.onnx_export import export_onnx

onnxruntime = pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
STAGES = 2
EMA = QuantizerConfig(num_quantizers=STAGES, codebook_size=16)
FACTORIZED = QuantizerConfig(kind="factorized", codebook_dim=4, num_quantizers=STAGES, codebook_size=16)
CAUSAL = NacreConfig(
    width=16,
    kernel_size=3,
    encoder_blocks=1,
    decoder_blocks=1,
    decoder_blocks_upsampled=1,
    frame_length=40,
    fft_length=48,
    causal=True,
)
SEGMENTS = Segmentation(length=80, overlap=10)
# family, channels, hop, quantizer, network
CODECS = {
    "nacre": ("nacre", 2, 16, FACTORIZED, NacreConfig(**{**vars(CAUSAL), "causal": False})),
    "nacre causal": ("nacre", 2, 16, EMA, CAUSAL),
    "encodec": ("seanet", 1, 6, EMA, SeanetConfig(filters=4, ratios=(3, 2))),
    "soundstream": (
        "seanet",
        1,
        4,
        EMA,
        SeanetConfig(filters=4, ratios=(4,), lstm_layers=0, conv_shortcut=False, padding="constant", denoising=True),
    ),
    "segments": (
        "seanet",
        2,
        8,
        EMA,
        SeanetConfig(filters=4, ratios=(8,), causal=False, norm="time_group", lstm_layers=1, segments=SEGMENTS),
    ),
    "dac, odd strides": (
        "dac",
        1,
        15,
        FACTORIZED,
        DacConfig(encoder_width=4, encoder_rates=(3, 5), decoder_width=16, decoder_rates=(5, 3), dilations=(3,)),
    ),
}
STREAMED = ["nacre causal", "encodec", "soundstream"]


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


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Return a function from a codec's name above to it and the folder of its graphs, exported once."""

    @functools.cache
    def export(name):
        folder = tmp_path_factory.mktemp("onnx")
        codec = make_codec(*CODECS[name])
        write_package(folder / "package", codec, metrics={}, lineage={})
        words = ["codec", "export-onnx", "--model", str(folder / "package"), "--out", str(folder / "graphs")]
        printed = CliRunner().invoke(cli, words, catch_exceptions=False).output
        assert [line.partition(": ")[0] for line in printed.splitlines()] == sorted(
            map(str, (folder / "graphs").iterdir())
        )
        return codec, folder / "graphs"

    return export


@pytest.fixture(params=CODECS)
def exported(request, exports):
    return exports(request.param)


def run(folder, name, **inputs):
    session = onnxruntime.InferenceSession(folder / f"{name}.onnx")
    given = {key: value.numpy() for key, value in inputs.items()}
    return torch.from_numpy(session.run(None, given)[0])


def switches(codec, value, batch):
    """Return the input that an encoder which can denoise has besides the audio."""
    return {"denoise": torch.full((batch,), value)} if codec.config.can_denoise else {}


def test_every_length_and_batch_gives_the_codec_s_codes_and_audio(exported):
    codec, folder = exported
    hop = codec.config.hop_length
    for batch, length in ((1, 1), (2, 2), (1, hop), (3, hop + 1), (2, 7 * hop - 1), (2, 1000), (1, 2311)):
        audio = noise(batch, codec.config.channels, length)
        codes = codec.encode(audio)
        assert torch.equal(run(folder, "encoder", audio=audio, **switches(codec, False, batch)), codes)
        for stages in range(1, STAGES + 1):
            decoded = run(folder, "decoder", codes=codes[:, :stages])
            torch.testing.assert_close(decoded, codec.decode(codes[:, :stages]), atol=1e-4, rtol=0)
    assert all(len(stage.unique()) > 3 for stage in codes[0])
    assert decoded.std() > 1e-3


def test_each_item_is_denoised_or_not(exports):
    codec, folder = exports("seanet causal, LSTM")
    audio = noise(2, 1, 333)
    plain, clean = codec.encode(audio), codec.encode(audio, denoise=True)
    assert not torch.equal(plain, clean)
    codes = run(folder, "encoder", audio=audio, denoise=torch.tensor([True, False]))
    assert torch.equal(codes, torch.stack([clean[0], plain[1]]))


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("hops", [[1], [7], [3, 1, 5]])
def test_streamed_equals_whole_by_the_documentation_s_own_code(exports, batch, hops):
    codec, folder = exports("nacre causal")
    code = re.search(r"```python\n(.*?)```", (DOCS / "onnx.md").read_text(), re.DOTALL)[1]
    names = {}
    exec(code.replace("DIR", str(folder)), names)  # noqa: S102  # our own documentation
    encode, decode = names["encode"], names["decode"]
    hop = codec.config.hop_length
    audio = noise(batch, codec.config.channels, 30 * hop)
    codes, decoded, start, turn = [], [], 0, 0
    while start < audio.shape[-1]:
        stop = start + hops[turn % len(hops)] * hop
        codes.append(encode(audio=audio[..., start:stop].numpy())["codes"])
        outputs = decode(codes=codes[-1])
        decoded.append(outputs["audio"])
        start, turn = stop, turn + 1
    whole = codec.encode(audio)
    assert torch.equal(torch.from_numpy(np.concatenate(codes, -1)), whole)
    streamed = torch.from_numpy(np.concatenate([*decoded, outputs["rest"]], -1))
    torch.testing.assert_close(streamed, codec.decode(whole), atol=1e-5, rtol=0)


def test_the_description_names_what_the_graphs_take_and_give(exported):
    codec, folder = exported
    described = json.loads((folder / "onnx.json").read_text())
    assert CodecConfig.from_mapping(described["codec"]) == codec.config
    assert len(described["fingerprint"]) == 64
    streams = ["", "_stream", "_stream_start"] if getattr(codec.encoder, "can_stream", False) else [""]
    assert set(described["graphs"]) == {f"{part}{which}.onnx" for part in ("encoder", "decoder") for which in streams}
    assert {path.name for path in folder.iterdir()} == {"onnx.json", *described["graphs"]}
    for name, graph in described["graphs"].items():
        session = onnxruntime.InferenceSession(folder / name)
        for ports, values in ((graph["inputs"], session.get_inputs()), (graph["outputs"], session.get_outputs())):
            assert [(port["name"], port["shape"]) for port in ports] == [(value.name, value.shape) for value in values]


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
