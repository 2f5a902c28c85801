"""`nacre train fit`: a LightningCLI that owns the run's directory, loggers, checkpoints and strategy.

YAML holds `seed_everything`, `model`, `data`, `trainer` and `run`; unknown keys are rejected. What every run needs
(exact steps, averaged weights, checkpoints, progress) is set here, not repeated in each YAML.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import click
import torch
import torch.distributed as dist
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from codec.config import NETWORK_CONFIGS
from codec.errors import NacreError, RunError
from data_pipelines.datamodule import AudioDataModule
from data_pipelines.position import TopologyError
from training.callbacks import AveragedWeights, BestCheckpoint, LastCheckpoint, LineageRecord, LoggedClips, StepState
from training.checkpoint_io import AtomicCheckpointIO
from training.codebook_watch import CodebookWatch
from training.config import RunConfig
from training.data_checks import check_data, check_noise
from training.data_watch import DataWatch
from training.launch import GUIDE, Agreement, LostRankError, find_launch, is_lost_rank, own_environment
from training.loggers import build_loggers, wandb_environment
from training.module import CodecTrainer
from training.parent import Parent, open_parent
from training.progress import TrainingProgress
from training.resume import LooseResume, check_settings
from training.run import ENVIRONMENT_VARIABLE, Run, create_run, inherited_run, open_run
from training.start import FineTuning
from training.stopping import JointStopError, RunGuard
from training.strategy import SplitDDPStrategy
from training.throughput import Throughput

# The stream is endless, so validation goes by steps; the datamodule splits ranks by itself.
TRAINER_DEFAULTS = {
    "max_epochs": -1,
    "check_val_every_n_epoch": None,
    "num_sanity_val_steps": 0,
    "enable_model_summary": False,
    "enable_progress_bar": False,
    "use_distributed_sampler": False,
}
NETWORK_OPTION = "--model.codec.network."
HELP = """Train a codec.

Example:
  nacre train fit --config configs/train/debug.yaml --data.directory DATA

Besides the options below: --run-dir DIR puts the run there instead of under NACRE_HOME/runs; --resume RUN continues a
run from its last checkpoint with its own configuration, and --resume RUN --resume-loose with changes to it, such as
--data.num_workers 4, telling what that costs; --init-from WHERE fine-tunes a package, by its folder or NAME@alias (the
codec's weights), or a run, by its folder or a checkpoint (discriminators and optimizers too).

SIGTERM and Ctrl-C write a checkpoint first; the exit code is then 143 or 130."""


class TrainingCLI(LightningCLI):
    """Parse the configuration, create or open the run, and build the trainer for it."""

    def __init__(
        self,
        arguments: Sequence[str],
        run_dir: Path | None = None,
        resume: Path | None = None,
        loose: bool = False,
    ) -> None:
        self.run_dir = run_dir
        self.resume = resume
        self.loose = loose
        self.changes: list[str] = []
        self.launch = find_launch()
        super().__init__(
            CodecTrainer,
            AudioDataModule,
            save_config_callback=None,
            trainer_defaults=TRAINER_DEFAULTS,
            seed_everything_default=0,
            parser_kwargs={"prog": "nacre train fit", "description": HELP, "exit_on_error": False},
            args=list(arguments),
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add `run`, and make the one seed everybody's."""
        parser.add_argument("--run", type=RunConfig, default=RunConfig())
        parser.link_arguments("seed_everything", "model.seed")
        parser.link_arguments("seed_everything", "data.seed")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse, without LightningCLI's warning that arguments were given."""
        words = cast(list[str], args)
        self.config = parser.parse_args(words)
        if self.launch is not None:
            self.config.trainer.devices = self.launch.devices
            self.config.trainer.num_nodes = self.launch.num_nodes
        # The parser reads one key of a network as that network anew, its other keys at their defaults, unless the
        # network is the first of the types that it may be.
        first = next(iter(NETWORK_CONFIGS))
        if self.config.model.codec.family != first and any(word.startswith(NETWORK_OPTION) for word in words):
            raise ValueError(f"{NETWORK_OPTION}KEY is an option with family {first} alone: change the YAML instead")

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Check what can be checked, then create the run and the trainer that writes to it."""
        check_data(self.model.codec_config, self.datamodule.sample_rate, self.datamodule.channels)
        check_noise(self.model.codec_config, has_noise=self.datamodule.noise_index_sha256 is not None)
        self.datamodule.resume_loose = self.loose
        parent = self._open_parent()
        options = self.config_init.run
        trainer = self.config_init.trainer
        if trainer.num_nodes > 1 and self.launch is None:
            raise RunError(
                f"trainer.num_nodes is {trainer.num_nodes}: start several machines by torchrun or srun ({GUIDE})"
            )
        self.run = self._open_run()
        if trainer.strategy == "auto" and count_processes(trainer.accelerator, trainer.devices, trainer.num_nodes) > 1:
            kwargs["strategy"] = SplitDDPStrategy()
        kwargs["callbacks"] = [*(trainer.callbacks or []), *self._callbacks(options, parent)]
        kwargs["logger"] = build_loggers(self.run, options)
        kwargs["plugins"] = [*_as_list(trainer.plugins), AtomicCheckpointIO(), *own_environment()]
        kwargs["default_root_dir"] = self.run.directory
        return super().instantiate_trainer(**kwargs)

    def _open_run(self) -> Run:
        """Return the run of all ranks; the first process alone decides and writes."""
        if inherited := inherited_run():
            return inherited
        if self.launch is None:
            return self._decide_run()
        self._agreement = Agreement(self.launch)
        return self._agreement.reach(self._decide_run)

    def _decide_run(self) -> Run:
        if self.resume is not None:
            run = open_run(self.resume)
            self.changes = check_settings(run, self._resolved(), loose=self.loose)
            return run
        configs = self.config.get("config") or []
        run = create_run(Path(str(configs[0])).stem if configs else "run", self.run_dir)
        run.write_config(self._resolved())
        return run

    def _resolved(self) -> str:
        return str(self.parser.dump(self.config, skip_unset=False))

    def _open_parent(self) -> Parent | None:
        """Open what a fresh run starts from, and check that it fits; a resumed run has its start behind it."""
        if self.resume is not None or self.model.init_from is None:
            return None
        parent = open_parent(self.model.init_from)
        parent.check(self.model.codec_config, self.model.discriminator)
        return parent

    def _callbacks(self, options: RunConfig, parent: Parent | None) -> list[Callback]:
        sample_rate = self.model.codec_config.sample_rate
        guard = RunGuard(self.run)
        lineage = self.run.read_lineage().get("parent") if parent is None else parent.lineage
        return [
            *([LooseResume(self.changes)] if self.loose else []),
            StepState(self.model.seed),
            AveragedWeights(options.ema_decay),
            *([] if parent is None else [FineTuning(parent)]),
            LineageRecord(self.run, self._resolved(), self.model.seed, self.changes, lineage),
            LoggedClips(options.logged_clips, sample_rate),
            CodebookWatch(),
            Throughput(sample_rate),
            DataWatch(),
            TrainingProgress(sample_rate),
            guard,
            BestCheckpoint(self.run, options.keep_best),
            LastCheckpoint(self.run, options.checkpoint_every_n_steps, guard),
        ]


def fit(
    arguments: Sequence[str], *, run_dir: Path | None = None, resume: Path | None = None, resume_loose: bool = False
) -> Run:
    """Train by LightningCLI `arguments`, in a fresh run or continuing `resume`, and return the run.

    A run goes on exactly, with the settings and the topology it had, or with others if `resume_loose`.

    Raises:
        RunError: The run can't be started or resumed, or another process of it died.
        JointStopError: It was interrupted by a signal, or a loss or gradient was not finite.
        DataError: The shards can't be used.
        click.UsageError: The configuration has an unknown key or a bad value.
    """
    arguments = list(arguments)
    if resume is not None:
        run = open_run(resume)
        if not run.last_checkpoint.is_file():
            raise RunError(f"'{resume}' can't be resumed: it has no checkpoints/last.ckpt yet")
        arguments = ["--config", str(run.config), *arguments]
    with quiet_lightning():
        cli = build_cli(TrainingCLI, arguments, run_dir, resume, loose=resume_loose)
        with _exported(cli.run), wandb_environment(cli.run):
            try:
                checkpoint = None if resume is None else cli.run.last_checkpoint
                cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=checkpoint, weights_only=True)
            except TopologyError as error:
                raise JointStopError(str(error)) from None
            except RuntimeError as error:
                if not is_lost_rank(error):
                    raise
                raise LostRankError(cli.run) from None
            finally:
                _finish()
    return cli.run


def build_cli(
    cls: type[TrainingCLI],
    arguments: Sequence[str],
    run_dir: Path | None = None,
    resume: Path | None = None,
    *,
    loose: bool = False,
) -> TrainingCLI:
    """Build a CLI; a bad configuration is a usage error of one line."""
    try:
        return cls(arguments, run_dir, resume, loose)
    except NacreError:
        raise
    except (ValueError, TypeError) as error:
        raise click.UsageError(one_line(error)) from None
    except Exception as error:
        if type(error).__name__ == "ArgumentError":
            raise click.UsageError(one_line(error)) from None
        raise


def one_line(error: Exception) -> str:
    """Return the informative part of a parser's error, without its line breaks."""
    return " ".join(str(error).split())


def count_processes(accelerator: str, devices: Any, num_nodes: int) -> int:
    """Return how many processes Lightning will train with."""
    if isinstance(devices, str) and devices.isdecimal():
        devices = int(devices)
    if isinstance(devices, str) and devices not in ("auto", "-1"):
        devices = devices.strip(",").split(",")
    if devices in ("auto", "-1", -1):
        on_cpu = accelerator == "cpu" or not torch.cuda.is_available()
        devices = 1 if on_cpu else torch.cuda.device_count()
    return num_nodes * (devices if isinstance(devices, int) else len(devices))


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's tips and its warnings about choices that are ours; real warnings stay."""
    ours = (
        r".*does not have many workers.*",
        r".*Checkpoint directory .* exists and is not empty.*",
        r".*GPU available but not used.*",
        r".*isinstance\(treespec, LeafSpec\).*",
        # Lightning's CLI calls what jsonargparse has renamed.
        r"(?s)\s*By default only one JsonargparseDeprecationWarning.*",
        r"(?s).*instantiate_classes.*deprecated.*",
    )
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in ours:
            warnings.filterwarnings("ignore", message=message)
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _exported(run: Run) -> Iterator[None]:
    """Tell the processes that Lightning starts which run is theirs."""
    before = os.environ.get(ENVIRONMENT_VARIABLE)
    os.environ[ENVIRONMENT_VARIABLE] = str(run.directory)
    try:
        yield
    finally:
        if before is None:
            del os.environ[ENVIRONMENT_VARIABLE]
        else:
            os.environ[ENVIRONMENT_VARIABLE] = before


def _finish() -> None:
    """Close W&B's run, if W&B was loaded at all, and the process group."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        wandb.finish()
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]
