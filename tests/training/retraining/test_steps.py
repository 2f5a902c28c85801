"""What stops a retraining before anything is trained."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from codec.errors import DataError, RunError
from registry.registry import Registry
from training.retraining.once import retrain_once
from training.retraining.retraining import begin, model_folder, unfinished
from training.retraining.settings import Fresh, Limits, Notify


def put(world, name, samples):
    soundfile.write(world.inbox / name, samples, 16_000)


def empty(world):
    for path in world.inbox.iterdir():
        path.unlink()


def test_audio_that_moved_too_far_is_refused_once_and_says_how(world):
    empty(world)
    for seed in range(3):
        put(world, f"{seed}.wav", 0.2 * np.random.default_rng(seed).standard_normal(32_000))
    decision = retrain_once(world)
    assert (decision.outcome, decision.candidate) == ("refused", None)
    assert any(reason.startswith("distance of long-term spectra") for reason in decision.reasons)
    assert "refused" in (decision.folder / "decision.html").read_text()
    assert retrain_once(world) == decision
    assert [version.version for version in Registry.open().list()] == [1]


def test_an_inbox_of_which_nothing_can_be_used_is_refused(world):
    empty(world)
    put(world, "silence.wav", np.zeros(32_000))
    decision = retrain_once(world)
    assert decision.outcome == "refused"
    assert "silence" in decision.reasons[0]


def test_too_little_usable_audio_waits_until_there_is_more(world):
    empty(world)
    put(world, "a.wav", np.zeros(32_000))
    put(world, "b.wav", 0.1 * np.random.default_rng(0).standard_normal(32_000))
    needy = replace(world, limits=Limits(min_hours=3.5 / 3600))
    for _ in range(2):
        with pytest.raises(DataError, match="can be used, at least"):
            retrain_once(needy)
        assert unfinished(needy) is None
    needier = replace(world, limits=Limits(min_hours=5 / 3600))
    with pytest.raises(DataError, match="of new audio, at least"):
        begin(needier)


def test_what_was_begun_goes_on_though_more_has_come(world):
    retraining = begin(world)
    put(world, "later.wav", 0.1 * np.random.default_rng(0).standard_normal(32_000))
    assert unfinished(world) == retraining
    assert unfinished(replace(world, overrides=())) is None


def test_a_decision_clears_away_what_was_begun_before_with_other_settings(world):
    earlier = begin(replace(world, overrides=()))
    settings = replace(world, limits=Limits(max_spectral_distance_db=0.0))
    decision = retrain_once(settings)
    assert decision.outcome == "refused"
    assert not earlier.folder.exists()
    later = begin(replace(world, overrides=()), everything=True)
    assert retrain_once(settings) == decision
    assert later.folder.exists()


def test_what_the_system_refuses_is_a_sentence_and_is_told(world, tmp_path):
    told = tmp_path / "told.json"
    (model_folder("voice") / "inbox.json").mkdir(parents=True)
    settings = replace(world, notify=Notify(command=("tee", str(told))))
    with pytest.raises(RunError, match=r"goes on when it is run again: .*inbox\.json"):
        retrain_once(settings)
    assert "inbox.json" in told.read_text()


def test_fresh_clips_are_kept_from_training(world):
    settings = replace(world, fresh=Fresh(percent=60.0), limits=Limits(max_spectral_distance_db=0.0))
    decision = retrain_once(settings)
    manifest = (decision.folder / "data" / "manifest.jsonl").read_text().splitlines()
    held_out = [entry["path"] for entry in map(json.loads, manifest) if entry["reason"] == "held_out"]
    assert 0 < len(held_out) < 6
    survey = json.loads((decision.folder / "survey.json").read_text())
    assert survey["files"] == {"held_out": len(held_out), "kept": 6 - len(held_out)}
    assert next(check for check in survey["checks"] if "unusable" in check["name"])["value"] == 0
    assert not list(model_folder("voice").glob("*/run"))
