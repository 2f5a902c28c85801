"""`nacre train fit --init-from`: what a run takes over from a package and from another run, and what it refuses."""

import json
import shutil

import pytest
import torch
from click.testing import CliRunner

from codec.errors import RunError, UnknownModelError
from codec.model import Codec
from codec.weights import load_package
from nacre import cli
from registry.registry import Registry
from training.checkpoint_io import load_checkpoint
from training.cli import fit
from training.export import export_package

# Nothing learns by gradient in the one step, so what a run started from is what its checkpoint holds.
FROZEN = {
    "model__optimizer__learning_rate": 0.0,
    "model__discriminator__learning_rate": 0.0,
    "model__discriminator__start_step": 0,
    "trainer__max_steps": 1,
    "run__checkpoint_every_n_steps": 1,
}


@pytest.fixture
def parent(tmp_path, tiny_config):
    """A finished run, discriminator included."""
    return fit(["--config", str(tiny_config())], run_dir=tmp_path / "parent")


@pytest.fixture
def no_kmeans(monkeypatch):
    def refuse(*_):
        raise AssertionError("k-means ran")

    monkeypatch.setattr(Codec, "initialize_codebooks", refuse)


def fine_tune(tmp_path, config, where, *options):
    run_dir = tmp_path / "child"
    words = ["train", "fit", "--config", str(config), "--run-dir", str(run_dir), "--init-from", str(where), *options]
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return run_dir, load_checkpoint(run_dir / "checkpoints" / "last.ckpt")


def parameters(state, network):
    """Return a network's tensors that only gradients change."""
    return {name: t for name, t in state.items() if name.startswith(f"{network}.") and ".quantizer." not in name}


def equal(first, second):
    return [torch.equal(first[name], second[name]) for name in first]


def adam_steps(optimizer):
    return {int(state["step"]) for state in optimizer["state"].values()}


def test_a_registered_package_gives_the_codec_alone(tmp_path, tiny_config, parent, no_kmeans):
    package = export_package(parent.directory, tmp_path / "package", "last")
    registry = Registry.open()
    registry.register(package.directory, "voice")
    registry.promote("voice:1", "production")
    run, child = fine_tune(tmp_path, tiny_config(**FROZEN), "voice@production")

    weights = {f"codec.{name}": t for name, t in load_package(package.directory).codec.state_dict().items()}
    state = child["current_model_state"]
    assert all(equal(parameters(weights, "codec"), state))
    start, moved = (weights["codec.quantizer.codebooks"], state["codec.quantizer.codebooks"])
    torch.testing.assert_close(moved, start, atol=0.5 * float(start.abs().max()), rtol=0)
    before = load_checkpoint(parent.last_checkpoint)["current_model_state"]
    assert not all(equal(parameters(before, "discriminator"), state))
    assert [adam_steps(optimizer) for optimizer in child["optimizer_states"]] == [{1}, {1}]
    assert json.loads((run / "lineage.json").read_text())["parent"] == {
        "kind": "package",
        "name": "voice",
        "version": 1,
        "fingerprint": package.fingerprint,
    }


def test_from_a_run_that_ended_with_its_decoder_alone_everything_learns_again(tmp_path, tiny_config):
    staged = {"model__optimizer__decoder_only_step": 6, "model__quantizer__start_step": 2}
    parent = fit(["--config", str(tiny_config(**staged))], run_dir=tmp_path / "parent")
    _, child = fine_tune(tmp_path, tiny_config(trainer__max_steps=2), parent.directory)
    before = load_checkpoint(parent.last_checkpoint)["current_model_state"]
    encoder = {name: tensor for name, tensor in before.items() if name.startswith("codec.encoder.")}
    assert not any(equal(encoder, child["current_model_state"]))


@pytest.mark.parametrize("which", ["run", "checkpoint"])
def test_a_run_gives_all_that_it_learned_and_counts_steps_anew(tmp_path, tiny_config, parent, no_kmeans, which):
    where = parent.directory if which == "run" else parent.last_checkpoint
    run, child = fine_tune(tmp_path, tiny_config(**FROZEN), where)
    before = load_checkpoint(parent.last_checkpoint)
    live = before["current_model_state"]
    for network in ("codec", "discriminator"):
        assert all(equal(parameters(live, network), child["current_model_state"])), network
    for name, average in parameters(before["state_dict"], "codec").items():
        # One more step of the average, at its last decay.
        assert not torch.equal(average, live[name])
        decay = min(0.9, 11 / 20)
        torch.testing.assert_close(child["state_dict"][name], average.lerp(live[name], 1 - decay))
    assert child["global_step"] == 1
    # The discriminator learned in 6 of the parent's 10 steps.
    assert [adam_steps(optimizer) for optimizer in child["optimizer_states"]] == [{11}, {7}]
    assert [schedule["last_epoch"] for schedule in child["lr_schedulers"]] == [1, 1]
    recorded = json.loads((run / "lineage.json").read_text())["parent"]
    assert (recorded["kind"], recorded["name"], recorded["steps"]) == ("bundle", "parent", 10)
    assert (
        recorded["checkpoint_sha256"]
        == export_package(parent.directory, tmp_path / "p", "last").lineage["checkpoint_sha256"]
    )


def test_resuming_a_fine_tuned_run_needs_no_parent_and_keeps_its_lineage(tmp_path, tiny_config, parent):
    run, _ = fine_tune(tmp_path, tiny_config(), parent.directory, "--trainer.max_steps", "5")
    recorded = json.loads((run / "lineage.json").read_text())["parent"]
    shutil.rmtree(parent.directory)
    resumed = fit(["--trainer.max_steps", "6"], resume=run, resume_loose=True)
    assert load_checkpoint(resumed.last_checkpoint)["global_step"] == 6
    assert resumed.read_lineage()["parent"] == recorded


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"model__codec__quantizer__codebook_size": 16, "model__codec__latent_dim": 6},
            [r"codec.latent_dim (8 there, 6 here)", r"codec.quantizer.codebook_size (8 there, 16 here)"],
        ),
        (
            {"model__discriminator__small": {"windows": [256, 128], "width": 6}},
            ["resolutions.0.layers.0.weight ([4, 3, 3, 8] there, [6,"],
        ),
    ],
)
def test_another_architecture_is_refused_by_its_keys_before_a_run_exists(tmp_path, tiny_config, parent, changes, named):
    config = tiny_config(**changes)
    with pytest.raises(RunError) as caught:
        fit(["--config", str(config), "--model.init_from", str(parent.directory)], run_dir=tmp_path / "child")
    assert all(words in str(caught.value) for words in named), str(caught.value)
    assert not (tmp_path / "child").exists()


def test_what_only_training_reads_may_differ(tmp_path, tiny_config, parent):
    changes = {"model__codec__name": "other", "model__codec__quantizer__ema_decay": 0.5}
    _, child = fine_tune(tmp_path, tiny_config(**FROZEN, **changes), parent.directory)
    assert child["global_step"] == 1


def test_what_is_no_parent_is_refused(tmp_path, tiny_config):
    config = ["--config", str(tiny_config())]
    (tmp_path / "noise.ckpt").write_bytes(b"noise")
    with pytest.raises(RunError, match="not a checkpoint that can be loaded"):
        fit([*config, "--model.init_from", str(tmp_path / "noise.ckpt")], run_dir=tmp_path / "child")
    with pytest.raises(UnknownModelError, match="no model 'nobody'"):
        fit([*config, "--model.init_from", "nobody@production"], run_dir=tmp_path / "child")
    both = ["train", "fit", "--resume", str(tmp_path), "--init-from", str(tmp_path)]
    assert CliRunner().invoke(cli, both).exit_code == 2
