"""Ablations: each file changes what it names of the base and nothing else, and the merge can be built."""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from nacre import cli
from training.cli import quiet_lightning
from training.plan import PlannedTraining

TRAIN = Path(__file__).parents[2] / "configs" / "train"
BASE = TRAIN / "nacre_16k.yaml"
ABLATIONS = sorted((TRAIN / "ablations").glob("*.yaml"))


def leaves(tree, prefix=""):
    found = {}
    for key, value in tree.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def parse(*configs):
    """Return the configuration that `nacre train fit --config A --config B` trains by, and its module."""
    words = [word for path in configs for word in ("--config", str(path))]
    with quiet_lightning():
        planned = PlannedTraining([*words, "--data.directory", "DATA"])
    dumped = yaml.safe_load(planned.parser.dump(planned.config, skip_unset=False))
    return {key: value for key, value in leaves(dumped).items() if key != "config"}, planned.model


@pytest.fixture(scope="module")
def base():
    return parse(BASE)[0]


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_it_changes_what_it_names_and_nothing_else(path, base):
    named = leaves(yaml.safe_load(path.read_text()))
    merged, module = parse(BASE, path)
    changed = {key: value for key, value in merged.items() if base.get(key) != value}
    assert changed == named
    assert merged.keys() == base.keys()
    assert module.codec_config.latent_dim == merged["model.codec.latent_dim"]
    assert merged["data.segment_samples"] % module.codec_config.hop_length == 0


def test_what_is_to_be_compared_is_there():
    subjects = {path.stem.split("_")[0] for path in ABLATIONS}
    assert subjects >= {"latent", "width", "no", "discriminator", "factorized", "mel", "batch", "crop"}


def test_an_ablation_can_be_planned_as_it_is_trained(tmp_path):
    words = ["train", "plan", str(BASE), "--config", str(TRAIN / "ablations" / "latent_64.yaml"), "--no-measure"]
    options = ["--data.batch_size", "1", "--model.codec.network.width", "16"]
    result = CliRunner().invoke(cli, [*words, *options], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    assert f"quantizer {16 * 1024 * 64:,}" in result.stdout
