"""`nacre retrain once`, through the real registry and real training processes."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from codec.errors import RunError, UnknownModelError
from codec.home import nacre_home
from codec.package import open_package
from registry.registry import Registry
from training.entropy import fit_package
from training.retraining.once import retrain_once

pytestmark = pytest.mark.slow


def test_better_is_promoted_once(world):
    decision = retrain_once(world)
    assert decision.promoted, decision.reasons
    assert (decision.candidate, decision.production) == (2, 1)
    version = Registry.open().resolve("voice@production")
    assert version.version == 2
    assert version.aliases == ("candidate", "production")
    (report,) = Registry.open().reports(version)
    assert report.note == "passed against voice:1, fixed clips"
    assert report.card.read_text().startswith("# voice:2\n")
    assert " at " in report.uses[0]
    verdict = json.loads((report.directory / "verdict.json").read_text())
    assert verdict["outcome"] == "passed"
    assert {check["name"] for check in verdict["checks"]} >= {"mel_distance", "stoi", "better mel_distance", "size"}
    assert retrain_once(world) == decision
    assert len(Registry.open().list()) == 2
    assert len(Registry.open().reports(version)) == 1


def test_entropy_tables_are_fitted_anew_when_production_has_some(world, tmp_path):
    registry = Registry.open()
    fitted = fit_package(
        tmp_path / "first", yaml.safe_load(world.config.read_text())["data"]["directory"], tmp_path / "p"
    )
    registry.register(fitted.directory, "voice")
    registry.promote("voice:2", "production")
    decision = retrain_once(world)
    candidate = open_package(registry.resolve(f"voice:{decision.candidate}").directory)
    assert candidate.has_entropy
    assert candidate.lineage["entropy"]["data_index_sha256"] != fitted.lineage["entropy"]["data_index_sha256"]


def test_validation_clips_in_the_inbox_are_never_trained_on(world):
    clip = next(world.validation.iterdir())
    (world.inbox / "smuggled.wav").write_bytes(clip.read_bytes())
    decision = retrain_once(world)
    manifest = (decision.folder / "data" / "manifest.jsonl").read_text().splitlines()
    reasons = {entry["path"]: entry["reason"] for entry in map(json.loads, manifest)}
    assert reasons["smuggled.wav"] == "held_out"


def test_worse_is_registered_and_rejected_with_the_reason(world):
    from dataclasses import replace

    good = retrain_once(world)
    assert good.promoted
    ruin = ("--model.optimizer.learning_rate", "0.5", "--model.optimizer.gradient_clip", "1000")
    decision = retrain_once(replace(world, overrides=(*world.overrides, *ruin)), everything=True)
    assert not decision.promoted
    assert any("mel_distance" in reason for reason in decision.reasons)
    registry = Registry.open()
    assert registry.resolve("voice@production").version == good.candidate
    rejected = registry.resolve("voice@candidate")
    assert rejected.version == decision.candidate
    assert [report.note for report in registry.reports(rejected)] == [
        f"failed against voice:{good.candidate}, fixed clips"
    ]


def test_killed_while_training_it_goes_on_where_it_stopped(world):
    words = ["retrain", "once", "--inbox", world.inbox, "--model", "voice", "--validation", world.validation]
    steps = ("--trainer.max_steps", "60", "--model.quantizer.start_step", "0")
    command = [sys.executable, "-m", "nacre", *map(str, words), "--config", str(world.config), *steps]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(nacre_home().glob("retrain/voice/*/run/checkpoints/last.ckpt")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    (run,) = nacre_home().glob("retrain/voice/*/run")
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "voice:2" in result.stdout
    steps_seen = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert max(steps_seen) >= 59
    assert len(Registry.open().list()) == 2


def test_what_is_missing_is_one_clear_error(world, tmp_path):
    from dataclasses import replace

    with pytest.raises(UnknownModelError, match="no model 'nobody'"):
        retrain_once(replace(world, model="nobody"))
    with pytest.raises(RunError, match="no training configuration"):
        retrain_once(replace(world, config=tmp_path / "none.yaml"))
    broken = replace(world, overrides=("--model.nonsense", "1"))
    with pytest.raises(RunError, match="exit status 2"):
        retrain_once(broken)
