"""What `nacre import hf` refuses, and why; tests/codec/test_dac_parity.py has what it imports."""

import json

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from codec.errors import PackageError
from codec.hf_import import import_hf, read_hf
from codec.hf_tensors import fold_weight_norm
from nacre import cli

CONFIG = {
    "model_type": "dac",
    "sampling_rate": 16_000,
    "downsampling_ratios": [2, 4],
    "encoder_hidden_size": 2,
    "decoder_hidden_size": 8,
    "n_codebooks": 1,
    "codebook_size": 4,
    "codebook_dim": 2,
}


def unit(name, width):
    shapes = {f"{name}.snake{n}.alpha": (1, width, 1) for n in (1, 2)}
    for number, kernel in ((1, 7), (2, 1)):
        shapes |= convolution(f"{name}.conv{number}", width, width, kernel)
    return shapes


def convolution(name, rows, columns, kernel, biases=None):
    return {f"{name}.weight": (rows, columns, kernel), f"{name}.bias": (biases or rows,)}


def tensors():
    """Return tensors of CONFIG, named and shaped as the reference has them."""
    shapes = convolution("encoder.conv1", 2, 1, 7) | convolution("encoder.conv2", 8, 8, 3)
    shapes |= convolution("decoder.conv1", 8, 8, 7) | convolution("decoder.conv2", 1, 2, 7)
    shapes |= {"encoder.snake1.alpha": (1, 8, 1), "decoder.snake1.alpha": (1, 2, 1)}
    for block, rate in enumerate((2, 4)):
        width, name = 2 * 2**block, f"encoder.block.{block}"
        shapes |= {f"{name}.snake1.alpha": (1, width, 1)} | convolution(f"{name}.conv1", 2 * width, width, 2 * rate)
        for number in (1, 2, 3):
            shapes |= unit(f"{name}.res_unit{number}", width)
    for block, rate in enumerate((4, 2)):
        width, name = 8 // 2**block, f"decoder.block.{block}"
        shapes |= {f"{name}.snake1.alpha": (1, width, 1)}
        shapes |= convolution(f"{name}.conv_t1", width, width // 2, 2 * rate, biases=width // 2)
        for number in (1, 2, 3):
            shapes |= unit(f"{name}.res_unit{number}", width // 2)
    stage = "quantizer.quantizers.0"
    shapes |= convolution(f"{stage}.in_proj", 2, 8, 1) | convolution(f"{stage}.out_proj", 8, 2, 1)
    shapes[f"{stage}.codebook.weight"] = (4, 2)
    generator = torch.Generator().manual_seed(0)
    return {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def write(folder, config=CONFIG, weights=None):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors() if weights is None else weights, folder / "model.safetensors")
    return folder


def test_the_command_writes_a_package_that_says_where_it_came_from(tmp_path):
    directory = write(tmp_path / "hf")
    result = CliRunner().invoke(cli, ["import", "hf", str(directory), "--out", str(tmp_path / "package")])
    assert result.exit_code == 0, result.output
    assert "dac_16k, 16000 Hz, 4 to 4 kbps" in result.output
    lineage = json.loads((tmp_path / "package" / "lineage.json").read_text())["imported_from"]
    assert (lineage["directory"], lineage["model_type"]) == ("hf", "dac")
    assert len(lineage["weights_sha256"]) == 64


def test_half_precision_is_widened(tmp_path):
    codec = read_hf(write(tmp_path / "hf", weights={name: value.half() for name, value in tensors().items()}))
    assert {value.dtype for value in codec.parameters()} == {torch.float32}
    assert codec.encode(torch.randn(1, 1, 20)).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("config", "weights", "message"),
    [
        (CONFIG | {"model_type": "mimi"}, {}, "model_type 'mimi'; what can be imported is dac"),
        ({k: v for k, v in CONFIG.items() if k != "n_codebooks"}, {}, "lacks the key 'n_codebooks'"),
        (CONFIG | {"codebook_size": 1}, {}, "codebook_size is 1"),
        (CONFIG | {"downsampling_ratios": 3}, {}, "can't be imported"),
        (CONFIG, {"encoder.conv1.bias": torch.zeros(3)}, r"is \(3,\), not \(2,\)"),
        (CONFIG, {"other": torch.zeros(3)}, "the codec lacks, first 'other'"),
        (CONFIG, {"encoder.conv1.weight_g": torch.zeros(3)}, "but not 'encoder.conv1.weight_v'"),
    ],
)
def test_what_does_not_fit_is_one_clear_sentence(tmp_path, config, weights, message):
    directory = write(tmp_path / "hf", config, tensors() | weights)
    with pytest.raises(PackageError, match=message) as caught:
        import_hf(directory, tmp_path / "package")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "package").exists()


def test_a_missing_tensor_is_named(tmp_path):
    weights = tensors()
    del weights["decoder.conv2.bias"]
    with pytest.raises(PackageError, match=r"lack 1 tensor\(s\), first 'decoder.layers.4.bias'"):
        read_hf(write(tmp_path / "hf", weights=weights))


def test_pickles_are_refused_unread(tmp_path):
    directory = write(tmp_path / "hf")
    (directory / "model.safetensors").unlink()
    with pytest.raises(PackageError, match=r"has no model\.safetensors"):
        read_hf(directory)
    (directory / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(PackageError, match=r"pytorch_model\.bin' is a pickle, which can run code"):
        read_hf(directory)


def test_other_folders_and_damaged_files_are_refused(tmp_path):
    with pytest.raises(PackageError, match=r"it has no config\.json"):
        read_hf(tmp_path)
    directory = write(tmp_path / "hf")
    (directory / "model.safetensors").write_bytes(b"short")
    with pytest.raises(PackageError, match="not a whole safetensors file"):
        read_hf(directory)
    (directory / "config.json").write_text("[]")
    with pytest.raises(PackageError, match="must hold a JSON object"):
        read_hf(directory)


@pytest.mark.parametrize(
    ("length", "direction"),
    [("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1")],
)
def test_weight_norm_folds_as_torch_computes_it(length, direction):
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.ConvTranspose1d(3, 5, 4))
    with torch.no_grad():
        layer.parametrizations.weight.original0.mul_(1.7)
    state = layer.state_dict()
    named = {
        f"a.{length}": state["parametrizations.weight.original0"],
        f"a.{direction}": state["parametrizations.weight.original1"],
        "a.bias": state["bias"],
    }
    folded = fold_weight_norm(named)
    assert set(folded) == {"a.weight", "a.bias"}
    torch.testing.assert_close(folded["a.weight"], layer.weight.detach())
