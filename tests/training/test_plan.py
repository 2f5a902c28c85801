"""`nacre train plan`: what it says of a run is what the run has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from nacre import cli
from training.live_memory import LiveMemory
from training.plan import PlannedTraining, make_plan

SCRIPT = Path(__file__).with_name("peak_memory_script.py")
# How far the estimate may be from the peak, either way.
FACTOR = 1.25
# The C library gives memory back as soon as it is free, so that the peak is of what was used.
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
MEGABYTE = 10**6


def plan(*words):
    result = CliRunner().invoke(cli, ["train", "plan", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_parameters_are_those_of_the_networks(tiny_config):
    config = tiny_config()
    parameters = json.loads(plan(config, "--no-measure", "--json"))["parameters"]
    module = PlannedTraining(["--config", str(config)]).model
    counts = {
        name: sum(p.numel() for p in network.parameters())
        for name, network in (
            ("encoder", module.codec.encoder),
            ("decoder", module.codec.decoder),
            ("discriminator", module.discriminator),
        )
    }
    assert parameters == counts | {"quantizer": module.codec.quantizer.codebooks.numel()}


def test_audio_is_counted_over_devices_and_in_epochs(tiny_config, shards):
    # 10 steps of 6 crops of 0.2 s on 3 devices; options override the file.
    words = [tiny_config(), "--devices", "3", "--data", shards, "--data.batch_size", "6", "--no-measure", "--json"]
    made = json.loads(plan(*words))
    assert (made["devices"], made["steps"], made["batch_size"]) == (3, 10, 6)
    assert made["audio"]["hours_heard"] == pytest.approx(10 * 6 * 3 * 0.2 / 3600)
    index = json.loads((shards / "index.json").read_text())
    records = [samples for shard in index["splits"]["train"] for samples in shard["records"]]
    assert made["audio"]["hours_of_data"] == pytest.approx(sum(records) / 16_000 / 3600)
    assert made["audio"]["epochs"] == pytest.approx(10 * 6 * 3 / (2 * len(records)))
    assert made["time"] is None


def test_time_adds_up_the_steps_before_and_after_the_discriminator_joins(tiny_config):
    made = make_plan(["--config", str(tiny_config())], measure=True)
    time = made.time
    assert time.device == "cpu"
    assert time.total_s == pytest.approx(4 * time.reconstruction_step_s + 6 * time.adversarial_step_s)
    text = plan(tiny_config(), "--no-measure")
    assert "10 steps on 1 device, 4 crops of 0.2 s each a step" in text
    assert all(assumption in text for assumption in made.assumptions)


@pytest.mark.parametrize("options", [["--model.no_such_key", "1"], ["--trainer.max_steps", "-1"]])
def test_a_bad_configuration_is_an_error(tiny_config, options):
    result = CliRunner().invoke(cli, ["train", "plan", str(tiny_config()), *options])
    assert result.exit_code != 0
    assert options[0].removeprefix("--").split(".")[-1] in result.stderr + str(result.exception)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="peak memory is read from Linux' /proc")
def test_the_estimate_of_memory_is_near_the_peak_of_a_real_run(tmp_path, tiny_config):
    small = tiny_config(model__discriminator__start_step=0).rename(tmp_path / "small.yaml")
    network = {"width": 128, "encoder_blocks": 2, "decoder_blocks": 2, "level_bands": 4}
    large = tiny_config(
        model__codec__network=network,
        model__discriminator__start_step=0,
        model__discriminator__segment_samples=16_000,
        model__discriminator__small={"windows": [256, 128], "width": 16},
        data__segment_samples=16_000,
        data__batch_size=24,
    )
    estimate = make_plan(["--config", str(large)], measure=False).memory.total
    command = [sys.executable, str(SCRIPT), str(small), str(large), str(tmp_path)]
    result = subprocess.run(command, env=os.environ | GIVE_BACK, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    peak = int(result.stdout.splitlines()[-1])
    assert estimate > 200 * MEGABYTE
    assert estimate / FACTOR < peak < estimate * FACTOR, (estimate, peak)


def test_live_memory_counts_what_is_alive_at_once():
    megabyte = torch.ones(250_000)
    with LiveMemory() as memory:
        for _ in range(3):
            double = megabyte * 2
            double += megabyte
            view = double.view(500, 500)
            both = view + 1
            del double, view, both
    assert memory.peak_bytes == 2 * 10**6
