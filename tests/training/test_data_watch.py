"""Damaged data in a training run: shown once, summed over ranks, logged, and too much of it stops every rank."""

import json
import subprocess
import sys
import warnings

import pytest

from codec.errors import DataError
from data_pipelines.build import build_dataset
from data_pipelines.datamodule import AudioDataModule
from data_pipelines.settings import BuildConfig
from training.checkpoint_io import load_checkpoint
from training.cli import fit


class Killed(Exception):  # noqa: N818  # an event, not an error of ours
    pass


@pytest.fixture
def damaged(shards, tmp_path):
    """A data set of one record a shard, one of them cut, and its name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = BuildConfig(val_percent=25, test_percent=0, shard_bytes=1)
        build_dataset([shards.parent], tmp_path / "damaged", config)
    shard = sorted((tmp_path / "damaged").glob("train-*.tar"))[1]
    shard.write_bytes(shard.read_bytes()[:1000])
    return tmp_path / "damaged", shard.name


def last_line(run_dir):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "data/bad_shards" in line][-1]


def test_damage_is_shown_once_and_logged(damaged, tmp_path, tiny_config, capsys):
    directory, shard = damaged
    config = tiny_config(data__directory=str(directory), data__max_replaced_share=0.5)
    run = fit(["--config", str(config)], run_dir=tmp_path / "run")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "other records replace" in line]
    assert line.startswith(f"warning: shard {shard} in '{directory}' is truncated")
    assert line.endswith("other records replace 1 of its records")
    logged = last_line(run.directory)
    assert logged["data/bad_shards"] == 1
    assert logged["data/replaced_records"] >= 1


def test_too_much_damage_stops_training_in_one_sentence(damaged, tmp_path, tiny_config):
    config = tiny_config(data__directory=str(damaged[0]))
    with pytest.raises(DataError, match=r"% of the records in .* data\.max_replaced_share allows 1\.0%") as caught:
        fit(["--config", str(config)], run_dir=tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_a_resumed_run_goes_on_counting_what_was_replaced(damaged, tmp_path, tiny_config, monkeypatch):
    settings = {"data__directory": str(damaged[0]), "data__max_replaced_share": 0.5, "data__num_workers": 1}
    config = str(tiny_config(**settings, run__checkpoint_every_n_steps=1))
    count_batch, finished = AudioDataModule.count_batch, 0

    def die_after_six(self):
        nonlocal finished
        finished += 1
        if finished > 6:
            raise Killed
        count_batch(self)

    with monkeypatch.context() as patch:
        patch.setattr(AudioDataModule, "count_batch", die_after_six)
        with pytest.raises(Killed):
            fit(["--config", config], run_dir=tmp_path / "run")
    (kept,) = [
        state["replaced_records"]
        for name, state in load_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["callbacks"].items()
        if name == "DataWatch"
    ]
    assert kept >= 1
    run = fit([], resume=tmp_path / "run")
    assert last_line(run.directory)["data/replaced_records"] > kept


def test_undamaged_data_logs_zeros(tmp_path, tiny_config, capsys):
    run = fit(["--config", str(tiny_config(trainer__max_steps=2))], run_dir=tmp_path / "run")
    assert (last_line(run.directory)["data/replaced_records"], last_line(run.directory)["data/bad_shards"]) == (0, 0)
    assert "replace" not in capsys.readouterr().err


@pytest.mark.slow
def test_two_ranks_count_together_and_stop_together(damaged, tmp_path, tiny_config):
    directory, shard = damaged
    config = tiny_config(data__directory=str(directory), data__max_replaced_share=0.5, trainer__devices=2)
    command = [sys.executable, "-m", "nacre", "train", "fit", "--config", str(config)]
    result = subprocess.run([*command, "--run-dir", str(tmp_path / "run")], capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count(f"warning: shard {shard}") == 1
    assert last_line(tmp_path / "run")["data/bad_shards"] == 1
    strict = [*command, "--data.max_replaced_share", "0.01", "--run-dir", str(tmp_path / "strict")]
    result = subprocess.run(strict, capture_output=True, text=True, timeout=280)
    assert result.returncode == 1
    assert "data.max_replaced_share allows 1.0%" in result.stderr
    assert "Traceback" not in result.stderr
