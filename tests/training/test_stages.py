"""The stages of a run: reconstruction, adversarial, decoder alone; balanced, and with published discriminators."""

import pytest
import torch

from codec.config import CodecConfig
from codec.errors import RunError
from codec.nacre.config import NacreConfig
from data_pipelines.datamodule import AudioDataModule
from training.checkpoint_io import load_checkpoint
from training.cli import fit
from training.config import DiscriminatorConfig, OptimizerConfig
from training.discriminators.config import SmallConfig
from training.module import CodecTrainer

KINDS = {
    "small": {"windows": [128], "width": 2},
    "stft": {"windows": [256], "width": 2},
    "period": {"periods": [2, 3], "width": 1},
}
STAGED = {
    "model__loss__balanced": True,
    "model__optimizer__decoder_only_step": 7,
    "model__discriminator": {"start_step": 4, "lead_steps": 1, "learning_share": 0.5, "segment_samples": 1600, **KINDS},
    "run__checkpoint_every_n_steps": 1,
}


class Killed(Exception):  # noqa: N818  # an event, not an error of ours
    pass


def interrupt(monkeypatch, config, directory, steps):
    """Train until `steps` steps are in the last checkpoint."""
    finished = 0
    count_batch = AudioDataModule.count_batch

    def die(self):
        nonlocal finished
        finished += 1
        if finished > steps:
            raise Killed
        count_batch(self)

    with monkeypatch.context() as patch:
        patch.setattr(AudioDataModule, "count_batch", die)
        with pytest.raises(Killed):
            fit(config, run_dir=directory)
    checkpoint = load_checkpoint(directory / "checkpoints" / "last.ckpt")
    assert checkpoint["global_step"] == steps
    return checkpoint


def flat(state, path=""):
    """Return the leaves of nested dictionaries and lists by their paths."""
    if isinstance(state, dict):
        return {k: v for key, value in state.items() for k, v in flat(value, f"{path}.{key}").items()}
    if isinstance(state, list | tuple):
        return {k: v for index, value in enumerate(state) for k, v in flat(value, f"{path}[{index}]").items()}
    return {path: state}


def equal(one, two):
    return torch.equal(one, two) if isinstance(one, torch.Tensor) else one == two


@pytest.mark.slow
def test_a_run_resumes_exactly_within_each_stage_and_freezes_what_it_should(tmp_path, tiny_config, monkeypatch):
    config = ["--config", str(tiny_config(**STAGED))]
    straight = load_checkpoint(fit(config, run_dir=tmp_path / "straight").last_checkpoint)
    assert straight["current_model_state"]["losses.balancer.norm_counts"].min() > 0
    states = ("state_dict", "current_model_state", "optimizer_states", "lr_schedulers")
    for steps in (3, 6, 7, 9):
        directory = tmp_path / f"broken{steps}"
        broken = interrupt(monkeypatch, config, directory, steps)
        resumed = load_checkpoint(fit([], resume=directory).last_checkpoint)
        first, second = (flat({key: checkpoint[key] for key in states}) for checkpoint in (straight, resumed))
        assert first.keys() == second.keys()
        assert [name for name in first if not equal(first[name], second[name])] == [], f"resumed after {steps}"
        check_frozen(broken["current_model_state"], straight["current_model_state"], is_frozen=steps >= 7)


def check_frozen(before, after, is_frozen):
    changed = {name.split(".")[1] for name in before if name[:6] == "codec." and not equal(before[name], after[name])}
    assert changed == ({"decoder"} if is_frozen else {"encoder", "quantizer", "decoder"})


def test_the_discriminator_learns_at_its_share_of_steps(tmp_path, tiny_config):
    run = fit(["--config", str(tiny_config(**STAGED))], run_dir=tmp_path / "run")
    generator, discriminator = load_checkpoint(run.last_checkpoint)["optimizer_states"]
    assert {int(state["step"]) for state in discriminator["state"].values()} == {3}
    # Those of the frozen encoder stopped at seven.
    assert {int(state["step"]) for state in generator["state"].values()} == {7, 10}


def test_crops_too_short_for_a_late_discriminator_are_refused_at_the_first_step(tmp_path, tiny_config):
    config = tiny_config(
        model__discriminator__start_step=9, model__discriminator__small={"windows": [4096], "width": 2}
    )
    with pytest.raises(RunError, match="need 2049 samples but get 1600"):
        fit(["--config", str(config)], run_dir=tmp_path / "run")


def test_the_decoder_can_not_learn_alone_before_there_are_codes():
    with pytest.raises(RunError, match="decoder_only_step must not come before"):
        CodecTrainer(
            codec=CodecConfig(name="tiny", hop_length=160, latent_dim=8, network=NacreConfig(width=16, level_bands=4)),
            discriminator=DiscriminatorConfig(small=SmallConfig(windows=(64,), width=1)),
            optimizer=OptimizerConfig(decoder_only_step=100),
        )


def test_the_rate_decays_by_a_factor_or_stays(tmp_path, tiny_config):
    config = tiny_config(model__optimizer__decay_per_step=0.9, trainer__max_steps=4)
    run = fit(["--config", str(config)], run_dir=tmp_path / "run")
    rates = [schedule["_last_lr"][0] for schedule in load_checkpoint(run.last_checkpoint)["lr_schedulers"]]
    assert rates[0] == pytest.approx(1e-3 * 0.9**2)
