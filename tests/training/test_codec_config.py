"""Training's command line reads the codec of every family as the package's codec.json would be read."""

from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser

from codec.config import CodecConfig

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("path", sorted((CONFIGS / "codec").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_is_a_codec_to_train(path):
    data = yaml.safe_load(path.read_text())
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--codec", type=CodecConfig)
    parsed = parser.instantiate(parser.parse_object({"codec": data}))
    assert parsed.codec == CodecConfig.from_mapping(data)
