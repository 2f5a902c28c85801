"""A loss or gradient that is not finite stops the run, and never reaches a checkpoint."""

import pytest
import torch

from training.checkpoint_io import load_checkpoint
from training.cli import fit
from training.finite import FiniteWatch
from training.losses.generator import GeneratorLosses
from training.module import CodecTrainer
from training.stopping import NotFiniteError


def break_from(monkeypatch, step):
    """Make one of the generator's losses infinite from a step on."""
    forward = GeneratorLosses.forward
    calls = 0

    def broken(self, output, audio):
        nonlocal calls
        calls += 1
        losses = forward(self, output, audio)
        return losses | {"mel": losses["mel"] * torch.inf} if calls > step else losses

    monkeypatch.setattr(GeneratorLosses, "forward", broken)


@pytest.mark.parametrize("step, every", [(5, 100), (7, 1), (9, 100)])
def test_it_stops_with_the_last_good_checkpoint_kept(tmp_path, tiny_config, monkeypatch, step, every):
    """Between logged steps, at a step that would checkpoint, and at the last step of all."""
    changes = {"trainer__log_every_n_steps": 100, "run__checkpoint_every_n_steps": every}
    break_from(monkeypatch, step)
    with pytest.raises(NotFiniteError) as caught:
        fit(["--config", str(tiny_config(**changes, trainer__limit_val_batches=0))], run_dir=tmp_path / "run")
    said = str(caught.value)
    assert f"train/gen/mel, train/gen/loss, train/gen/gradient_norm were not finite at step {step + 1}" in said
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    if every == 100:
        assert "there is no checkpoint yet" in said
        assert not last.exists()
    else:
        assert "its last checkpoint is good" in said
        checkpoint = load_checkpoint(last)
        assert checkpoint["global_step"] == step
        assert all(tensor.isfinite().all() for tensor in checkpoint["current_model_state"].values())


def test_broken_weights_are_not_validated(tmp_path, tiny_config, monkeypatch):
    def never(self, batch, batch_idx):
        raise AssertionError("validated")

    break_from(monkeypatch, 4)
    monkeypatch.setattr(CodecTrainer, "validation_step", never)
    with pytest.raises(NotFiniteError, match="at step 5"):
        fit(["--config", str(tiny_config(run__checkpoint_every_n_steps=100))], run_dir=tmp_path / "run")


def test_the_discriminator_is_watched_too(tmp_path, tiny_config):
    options = ["--model.discriminator.learning_rate", "1e38", "--model.optimizer.warmup_steps", "1"]
    with pytest.raises(NotFiniteError, match=r"train/disc/loss.* not finite at step"):
        fit(["--config", str(tiny_config(trainer__limit_val_batches=0)), *options], run_dir=tmp_path / "run")


def test_the_first_broken_step_and_its_names_are_remembered():
    watch = FiniteWatch()
    good, bad = torch.tensor(1.0), torch.tensor(torch.nan)
    watch.see(3, "gen", {"loss": good, "mel": good})
    assert not watch.is_broken(torch.device("cpu"))
    watch.see(4, "disc", {"loss": good})
    watch.see(5, "gen", {"loss": bad, "mel": good})
    watch.see(6, "disc", {"loss": bad})
    assert watch.is_broken(torch.device("cpu"))
    assert watch.first_broken() == (5, ["gen/loss"])
