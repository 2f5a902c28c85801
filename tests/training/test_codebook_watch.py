from types import SimpleNamespace

import pytest
import torch

from codec.config import QuantizerConfig
from codec.quantizer import ResidualVectorQuantizer
from training.codebook_watch import CodebookWatch


@pytest.fixture
def train(capsys):
    """Return a function that trains a quantizer on latents and returns what the watch said meanwhile."""
    quantizer = ResidualVectorQuantizer(QuantizerConfig(num_quantizers=2, codebook_size=32, ema_decay=0.8), 8)
    quantizer.initialize(torch.randn(32, 8, 25, generator=torch.Generator().manual_seed(0)))
    module = SimpleNamespace(codec=SimpleNamespace(quantizer=quantizer.train()))
    trainer = SimpleNamespace(is_global_zero=True, global_step=0, log_every_n_steps=5)
    watch = CodebookWatch()

    def run(latents, steps=60):
        for _ in range(steps):
            quantizer(latents(trainer.global_step), torch.full((8,), 2))
            trainer.global_step += 1
            watch.on_train_batch_end(trainer, module, None, None, 0)
        return capsys.readouterr().err.splitlines()

    return run


def varied(step):
    return torch.randn(8, 8, 25, generator=torch.Generator().manual_seed(step))


def constant(step):
    return torch.ones(8, 8, 25)


def test_healthy_codebooks_are_left_in_peace(train):
    assert train(varied) == []


def test_each_stage_that_collapses_is_named_once_until_it_has_recovered(train):
    lines = train(constant)
    assert len(lines) == 2
    for stage, line in enumerate(sorted(lines)):
        assert line.startswith(f"warning: codebook {stage} has collapsed at step ")
        assert f"perplexity_{stage} is" in line
        assert "below 10% of its 32 entries" in line
    assert train(constant) == []
    assert train(varied) == []
    assert len(train(constant)) == 2
