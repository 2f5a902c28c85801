"""benchmarks/scaling.py counts bytes as real runs have them, and docs/scaling.md says what it counts."""

from pathlib import Path

import pytest

from benchmarks.scaling import Assumptions, count_traffic, scale
from training.cli import fit, quiet_lightning
from training.plan import PlannedTraining

ROOT = Path(__file__).parents[2]
GIVEN = Assumptions(step_seconds=0.1, node_bandwidth=200, network_bandwidth=20, latency_us=20, disk_bandwidth=1)


def planned(config):
    with quiet_lightning():
        return PlannedTraining(["--config", str(config), "--data.directory", "DATA"])


def test_a_checkpoint_is_as_large_as_counted(tmp_path, tiny_config):
    network = {"width": 192, "encoder_blocks": 3, "decoder_blocks": 3, "level_bands": 4}
    config = tiny_config(model__codec__network=network, model__discriminator__start_step=0, trainer__max_steps=2)
    run = fit(["--config", str(config)], run_dir=tmp_path / "run")
    assert run.last_checkpoint.stat().st_size == pytest.approx(
        count_traffic(planned(config).model).checkpoint, rel=0.05
    )


def test_what_a_step_moves_is_counted_by_group(tiny_config):
    cli = planned(tiny_config())
    traffic = count_traffic(cli.model)
    assert traffic.codec_gradients == 4 * sum(p.numel() for p in cli.model.codec.parameters())
    assert traffic.discriminator_gradients == 4 * sum(p.numel() for p in cli.model.discriminator.parameters())
    assert traffic.codebook_statistics == 4 * 3 * 8 * (8 + 1)
    two = scale(cli.model, cli.config, traffic, 2, GIVEN)
    assert two.communication_seconds == pytest.approx(traffic.each_step / 200e9 + 5 * 2 * 20e-6)
    assert two.audio_seconds_a_step == pytest.approx(2 * 4 * 0.2)


def test_the_document_says_what_is_counted():
    cli = planned(ROOT / "configs" / "train" / "nacre_16k.yaml")
    traffic = count_traffic(cli.model)
    text = (ROOT / "docs" / "scaling.md").read_text()
    for value in (traffic.codec_gradients, traffic.discriminator_gradients, traffic.codebook_statistics):
        assert f"| {value:,} |" in text
    for devices in (8, 64, 512):
        row = scale(cli.model, cli.config, traffic, devices, GIVEN)
        assert f"| {devices} | {row.audio_seconds_a_step:,.0f} s | {1e3 * row.communication_seconds:.1f} ms |" in text
