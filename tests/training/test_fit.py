import json

import pytest
import torch
from click.testing import CliRunner

from codec.errors import RunError
from codec.weights import load_package
from data_pipelines.datamodule import AudioDataModule
from nacre import cli
from training.checkpoint_io import load_checkpoint
from training.cli import fit
from training.evaluation.clips import find_clips
from training.evaluation.models import model_points
from training.evaluation.run import evaluate
from training.export import export_package


class Killed(Exception):  # noqa: N818  # an event, not an error of ours
    pass


def lines(run):
    return [json.loads(line) for line in run.metrics.read_text().splitlines()]


def test_several_data_sets_are_mixed_by_options(tmp_path, tiny_config, uneven_shards):
    option = f"[{{directory: {uneven_shards}, weight: 0.5}}]"
    run = fit(["--config", str(tiny_config(trainer__max_steps=3)), "--data.mixture", option], run_dir=tmp_path / "run")
    assert f"directory: {uneven_shards}" in run.config.read_text()
    resumed = fit(["--trainer.max_steps", "5"], resume=run.directory, resume_loose=True)
    assert load_checkpoint(resumed.last_checkpoint)["global_step"] == 5


def test_run_leaves_all_that_export_and_curves_need(tmp_path, tiny_config, shards):
    run = fit(["--config", str(tiny_config(run__wandb_mode="offline"))], run_dir=tmp_path / "run")
    assert {path.name for path in run.checkpoints.iterdir()} == {"last.ckpt", "best-step=10.ckpt"} or (
        run.checkpoints / "best-step=5.ckpt"
    ).exists()
    names = set().union(*lines(run))
    assert {"train/gen/loss", "train/disc/loss", "train/codebook/perplexity_0", "train/codebook/dead_share_2"} <= names
    assert "train/codebook/expiry_rate_1" in names
    assert {f"train/disc/{name}" for name in ("accuracy_real", "accuracy_fake", "generator_loss_ratio")} <= names
    assert {"train/throughput/audio_seconds_per_second", "train/throughput/data_wait_share"} <= names
    assert {"val/0.3kbps/mel_distance", "val/0.3kbps/si_sdr_db"} <= names
    assert {"val/mel_distance", "val/si_sdr_db", "val/stoi"} <= names
    assert list(run.directory.glob("wandb/offline-run-*/run-*.wandb"))

    package = export_package(run.directory, tmp_path / "package")
    assert package.lineage["data_index_sha256"] == AudioDataModule(directory=str(shards)).index_sha256
    assert package.lineage["steps"] == package.metrics["step"]
    assert {len(stages) for stages in package.metrics["codebook"].values()} == {3}
    best = load_checkpoint(run.checkpoints / package.lineage["checkpoint"])
    averaged = best["state_dict"]["codec.encoder.embed.weight"]
    live = best["current_model_state"]["codec.encoder.embed.weight"]
    exported = load_package(package.directory).codec.encoder.embed.weight
    assert torch.equal(exported, averaged)
    assert not torch.equal(exported, live)

    rates = package.config.bitrates_kbps
    points = model_points(str(package.directory), [rates[0], rates[-1]])
    clip = find_clips(shards.parent)[0]
    low, high = evaluate([(clip, point) for point in points], tmp_path / "scores", processes=1).scores
    assert rates[0] < low.measured_kbps < high.measured_kbps
    assert low.encode_realtime > 0


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path, tiny_config, monkeypatch, assert_same_training):
    config = ["--config", str(tiny_config(data__num_workers=1))]
    straight = fit(config, run_dir=tmp_path / "straight")

    finished = 0
    count_batch = AudioDataModule.count_batch

    def die_at_seven(self):
        nonlocal finished
        finished += 1
        if finished == 7:
            raise Killed
        count_batch(self)

    with monkeypatch.context() as patch:
        patch.setattr(AudioDataModule, "count_batch", die_at_seven)
        with pytest.raises(Killed):
            fit(config, run_dir=tmp_path / "broken")
    assert load_checkpoint(tmp_path / "broken/checkpoints/last.ckpt")["global_step"] == 5
    resumed = fit([], resume=tmp_path / "broken")
    assert load_checkpoint(resumed.last_checkpoint)["global_step"] == 10
    assert_same_training(straight.directory, resumed.directory)


def test_global_step_counts_generator_steps_once(tmp_path, tiny_config):
    run = fit(["--config", str(tiny_config(model__discriminator__start_step=0))], run_dir=tmp_path / "run")
    checkpoint = load_checkpoint(run.last_checkpoint)
    assert checkpoint["global_step"] == 10
    assert checkpoint["AudioDataModule"]["batches"] == 10
    generator, discriminator = checkpoint["optimizer_states"]
    assert {int(state["step"]) for state in generator["state"].values()} == {10}
    assert {int(state["step"]) for state in discriminator["state"].values()} == {10}


def test_bf16_trains_and_keeps_codebooks_in_fp32(tmp_path, tiny_config):
    run = fit(["--config", str(tiny_config(trainer__precision="bf16-mixed"))], run_dir=tmp_path / "run")
    state = load_checkpoint(run.last_checkpoint)["state_dict"]
    assert state["codec.quantizer.codebooks"].dtype == torch.float32
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


@pytest.mark.parametrize(
    "options, message",
    [
        (["--model.no_such_key", "1"], "no_such_key"),
        (["--model.codec.quantizer.codebook_size", "1"], "codebook_size is 1 but must be from 2 to 65536"),
    ],
)
def test_bad_configuration_is_one_line(tmp_path, tiny_config, options, message):
    arguments = ["train", "fit", "--config", str(tiny_config()), "--run-dir", str(tmp_path / "run"), *options]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    error = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(error) == 1
    assert message in error[0]
    assert not (tmp_path / "run").exists()


def test_unknown_key_in_yaml_is_refused(tmp_path, tiny_config):
    path = tiny_config(model__loss__mle=1.0)
    result = CliRunner().invoke(cli, ["train", "fit", "--config", str(path), "--run-dir", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert "mle" in result.stderr


def test_data_of_another_rate_is_refused_before_a_run_exists(tmp_path, tiny_config):
    config = tiny_config(model__codec__sample_rate=24_000)
    with pytest.raises(RunError, match=r"16000 Hz .* wants 24000 Hz"):
        fit(["--config", str(config)], run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_runs_never_share_a_folder(tmp_path, tiny_config):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").touch()
    with pytest.raises(RunError, match="not empty"):
        fit(["--config", str(tiny_config())], run_dir=tmp_path / "run")


@pytest.mark.parametrize("command", [["fit", "--resume"], ["export", "--out", "package"]])
def test_what_is_no_run_is_refused(tmp_path, command):
    result = CliRunner().invoke(cli, ["train", *command, str(tmp_path)])
    assert isinstance(result.exception, RunError)
    assert "is not a run" in str(result.exception)


def test_pickled_code_in_a_checkpoint_is_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return (exec, ("raise SystemExit('ran')",))

    torch.save({"nacre": Payload()}, tmp_path / "evil.ckpt")
    with pytest.raises(RunError, match="not a checkpoint that can be loaded"):
        load_checkpoint(tmp_path / "evil.ckpt")
