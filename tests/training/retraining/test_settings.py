from pathlib import Path

import pytest

from codec.errors import RunError
from training.retraining.settings import Limits, Replay, RetrainSettings, read_settings

SHIPPED = Path(__file__).parents[3] / "configs" / "retrain.yaml"


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "retrain.yaml"
        path.write_text(text)
        return path

    return write


def test_the_shipped_file_is_complete_and_has_the_defaults():
    settings = read_settings(SHIPPED, {})
    assert settings.config == SHIPPED.parent / "train" / "nacre_16k.yaml"
    assert settings.config.is_file()
    assert settings.policy == SHIPPED.parent / "gate.yaml"
    plain = RetrainSettings(model="a", inbox=Path(), validation=Path(), config=Path())
    assert settings.limits == Limits(min_hours=1.0)
    for name in ("fresh", "trigger", "notify", "replay", "earlier_weight", "allow_drift"):
        assert getattr(settings, name) == getattr(plain, name), name


def test_paths_are_relative_to_the_file_and_options_replace_keys(write):
    path = write(
        "{model: a, inbox: in, validation: /clips, config: c.yaml, overrides: [--trainer.max_steps, 20],"
        "replay: [{directory: s3://bucket/data, weight: 2}], limits: {max_level_change_db: null}}"
    )
    settings = read_settings(path, {"model": "b", "allow_drift": True})
    assert (settings.model, settings.allow_drift) == ("b", True)
    assert (settings.inbox, settings.validation) == (path.parent / "in", Path("/clips"))
    assert settings.overrides == ("--trainer.max_steps", "20")
    assert settings.replay == (Replay(directory="s3://bucket/data", weight=2.0),)
    assert settings.limits.max_level_change_db is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{model: a", "is not YAML"),
        ("[1]", "must be a mapping"),
        ("{model: a}", "required: inbox, validation, config"),
        ("{model: a, inbox: b, validation: c, config: d, inbocks: e}", "inbocks"),
        ("{model: a, inbox: b, validation: c, config: d, fresh: {percent: many}}", "fresh.percent"),
        ("{model: a, inbox: b, validation: c, config: d, fresh: {percent: 100}}", "from 0 to below 100"),
        ("{model: a, inbox: b, validation: c, config: d, trigger: {hours: 0}}", "above 0"),
    ],
)
def test_what_is_wrong_is_one_sentence(write, text, sentence):
    with pytest.raises(RunError, match=sentence) as raised:
        read_settings(write(text), {})
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RunError, match=r"can't read the settings '.*none\.yaml'"):
        read_settings(tmp_path / "none.yaml", {})
