"""Training on a GPU: it learns, resumes, and leaves a package that any machine can use."""

import json

import pytest
import torch

from codec.weights import load_package
from training.checkpoint_io import load_checkpoint
from training.cli import fit
from training.export import export_package

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def test_a_run_on_a_gpu_resumes_and_its_package_codes_on_a_cpu(tmp_path, tiny_config):
    config = tiny_config(trainer__accelerator="gpu", trainer__precision="bf16-mixed", data__num_workers=2)
    run = fit(["--config", str(config), "--trainer.max_steps", "10"], run_dir=tmp_path / "run")
    fit(["--trainer.max_steps", "15"], resume=run.directory, resume_loose=True)
    assert load_checkpoint(run.last_checkpoint)["global_step"] == 15
    losses = [row for row in map(json.loads, run.metrics.read_text().splitlines()) if "train/gen/loss" in row]
    assert [row["step"] for row in losses] == list(range(15))
    codec = load_package(export_package(run.directory, tmp_path / "package").directory).codec
    audio = 0.1 * torch.randn(1, 1, 4000)
    assert codec.decode(codec.encode(audio)).shape[-1] >= 4000
