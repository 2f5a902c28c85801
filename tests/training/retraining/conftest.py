"""An inbox, clips, and an ill-trained model in production: what a retraining needs."""

import pytest
import soundfile
import yaml

from registry.registry import Registry
from tiny import untrained_package
from training.retraining.settings import Fresh, RetrainSettings

# Two clips, of which codecs as small as these keep nothing intelligible, and a machine that does other things as well.
POLICY = """
metrics:
  mel_distance: {better: lower, relative_margin: 0.01}
  stoi: {better: higher, absolute_margin: 0.2}
min_clips: 2
min_encode_speed_share: null
min_decode_speed_share: null
max_undefined_share: 0.5
"""
STEPS = ("--trainer.max_steps", "40", "--model.quantizer.start_step", "0")


@pytest.fixture
def world(tmp_path, tiny_config, make_voice, monkeypatch):
    """An inbox, validation clips, a training configuration, and an ill-trained model in production."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for folder, seeds in (("inbox", range(6)), ("clips", range(20, 22))):
        (tmp_path / folder).mkdir()
        for seed in seeds:
            soundfile.write(tmp_path / folder / f"{seed}.wav", make_voice(seed), 16_000)
    policy = tmp_path / "gate.yaml"
    policy.write_text(POLICY)
    config = tiny_config(model__optimizer__learning_rate=2e-3)
    untrained_package(tmp_path / "first", yaml.safe_load(config.read_text())["model"]["codec"])
    registry = Registry.open()
    registry.register(tmp_path / "first", "voice")
    registry.promote("voice:1", "production")
    return RetrainSettings(
        model="voice",
        inbox=tmp_path / "inbox",
        validation=tmp_path / "clips",
        config=config,
        policy=policy,
        overrides=STEPS,
        fresh=Fresh(percent=0.0),
    )


@pytest.fixture
def settings_file(world):
    """The same as a YAML."""
    path = world.inbox.parent / "retrain.yaml"
    plain = {name: str(getattr(world, name)) for name in ("model", "inbox", "validation", "config", "policy")}
    trigger = {"hours": 0.001, "settle_minutes": 0, "look_every_seconds": 1}
    path.write_text(
        yaml.safe_dump(plain | {"overrides": list(world.overrides), "fresh": {"percent": 0}, "trigger": trigger})
    )
    return path
