import math

import pytest
import torch

from codec.errors import RunError
from data_pipelines.datamodule import AudioDataModule
from training.checkpoint_io import load_checkpoint
from training.cli import fit
from training.progress import TrainingProgress

LOOSE = "records of the current epoch may come twice or not at all"


def die_at_seven(self, trainer, *_):
    if trainer.global_step == 7:
        raise InterruptedError


@pytest.fixture
def run(tmp_path, tiny_config):
    """A run of five steps, of which each took a batch of four."""
    return fit(
        ["--config", str(tiny_config(trainer__limit_val_batches=0, trainer__max_steps=5))], run_dir=tmp_path / "run"
    )


@pytest.mark.parametrize(
    "options, change",
    [
        (["--data.batch_size", "2"], "batch_size from 4 to 2"),
        (["--trainer.max_steps", "8"], "trainer.max_steps from 5 to 8"),
        (["--model.optimizer.learning_rate", "0.01"], "model.optimizer.learning_rate from 0.001 to 0.01"),
    ],
)
def test_a_changed_setting_is_refused_and_leaves_the_run_as_it_was(run, options, change):
    before = run.config.read_bytes()
    with pytest.raises(RunError, match=rf"can't resume exactly with {change}.*--resume-loose"):
        fit(options, resume=run.directory)
    assert run.config.read_bytes() == before
    fit([], resume=run.directory)


def test_loosely_it_goes_on_with_the_changes_and_says_what_they_cost(run, capfd):
    options = ["--trainer.max_steps", "8", "--data.batch_size", "2", "--model.optimizer.learning_rate", "0.01"]
    fit(options, resume=run.directory, resume_loose=True)
    said = capfd.readouterr().err
    for part in ("batch_size from 4 to 2", "learning_rate from 0.001 to 0.01", "max_steps from 5 to 8", LOOSE):
        assert part in said
    checkpoint = load_checkpoint(run.last_checkpoint)
    assert checkpoint["global_step"] == 8
    assert checkpoint["AudioDataModule"]["batches"] == 5 * 4 // 2 + 3
    (group,) = checkpoint["optimizer_states"][0]["param_groups"]
    assert group["initial_lr"] == 0.01
    assert checkpoint["lr_schedulers"][0]["base_lrs"] == [0.01]
    (resume,) = run.read_lineage()["loose_resumes"]
    assert resume["step"] == 5
    assert "batch_size from 4 to 2" in resume["changes"]
    fit(["--trainer.max_steps", "8"], resume=run.directory)


def test_without_a_change_loosely_is_exactly(tmp_path, tiny_config, monkeypatch, capfd, assert_same_training):
    config = ["--config", str(tiny_config(trainer__limit_val_batches=0))]
    straight = fit(config, run_dir=tmp_path / "straight")
    with monkeypatch.context() as patch, pytest.raises(InterruptedError):
        patch.setattr(TrainingProgress, "on_train_batch_end", die_at_seven)
        fit(config, run_dir=tmp_path / "broken")
    fit([], resume=tmp_path / "broken", resume_loose=True)
    assert "nothing changed" in capfd.readouterr().err
    assert_same_training(straight.directory, tmp_path / "broken")


@pytest.mark.parametrize("batch_size, batches", [(4, 7), (2, 14), (8, 3), (5, 5)])
def test_a_position_is_the_same_number_of_crops(shards, batch_size, batches):
    def make(size):
        return AudioDataModule(directory=str(shards), segment_samples=3200, batch_size=size, num_workers=0)

    data = make(batch_size)
    data.resume_loose = True
    data.load_state_dict(make(4).state_dict() | {"batches": 7})
    assert data.state_dict()["batches"] == batches == math.floor(7 * 4 / batch_size)
    expected = make(batch_size)
    expected.load_state_dict(expected.state_dict() | {"batches": batches})
    assert torch.equal(next(iter(data.train_dataloader())), next(iter(expected.train_dataloader())))
