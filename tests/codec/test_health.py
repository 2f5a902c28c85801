"""The health of codebooks of both kinds: healthy ones, collapsed ones, and ones that lose entries."""

import pytest
import torch

from codec.config import QuantizerConfig
from codec.factorized import FactorizedResidualVectorQuantizer
from codec.health import codebook_health, has_collapsed
from codec.quantizer import ResidualVectorQuantizer

SIZE, STAGES = 32, 2


def latents(seed, batch=8):
    return torch.randn(batch, 8, 25, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=["ema", "factorized"])
def quantizer(request):
    torch.manual_seed(0)
    settings = {"num_quantizers": STAGES, "codebook_size": SIZE, "ema_decay": 0.9, "dead_share": 0.05}
    if request.param == "ema":
        built = ResidualVectorQuantizer(QuantizerConfig(**settings), 8)
    else:
        built = FactorizedResidualVectorQuantizer(QuantizerConfig(kind="factorized", codebook_dim=4, **settings), 8)
    built.initialize(latents(0, batch=32))
    return built.train()


def learn(quantizer, make_latents, steps=60):
    for step in range(steps):
        quantizer(make_latents(step), torch.full((8,), STAGES))
    return quantizer.health()


def constant(step):
    return torch.ones(8, 8, 25)


def test_varied_latents_use_the_whole_codebook(quantizer):
    health = learn(quantizer, latents)
    assert health.perplexity.shape == health.dead_share.shape == health.expiry_rate.shape == (STAGES,)
    assert all(value > 0.5 * SIZE for value in health.perplexity.tolist())
    assert not any(has_collapsed(value, SIZE) for value in health.perplexity.tolist())
    assert (health.expiry_rate < 0.01).all()


def test_constant_latents_collapse_every_stage(quantizer):
    health = learn(quantizer, constant)
    assert all(has_collapsed(value, SIZE) for value in health.perplexity.tolist())


def test_entries_are_counted_as_they_expire(quantizer):
    learn(quantizer, latents)
    rates = []
    for step in range(60):
        quantizer(constant(step), torch.full((8,), STAGES))
        rates.append(float(quantizer.health().expiry_rate[0]))
    assert max(rates) > 0.05
    if isinstance(quantizer, FactorizedResidualVectorQuantizer):
        assert quantizer.health().dead_share[0] > 0.9, "nothing revives them"
        assert rates[-1] < 0.5 * max(rates), "what is dead doesn't expire again"
    else:
        assert quantizer.health().dead_share[0] == 0, "they are revived at once"


def test_statistics_begin_healthy_and_restart(quantizer):
    learn(quantizer, constant)
    quantizer.reset_statistics()
    health = quantizer.health()
    torch.testing.assert_close(health.perplexity, torch.full((STAGES,), float(SIZE)))
    assert health.dead_share.tolist() == health.expiry_rate.tolist() == [0, 0]


def test_the_numbers_are_those_of_the_definitions():
    sizes = torch.tensor([[1.0, 1, 1, 1], [4, 0, 0, 0], [2, 2, 0, 0]])
    health = codebook_health(sizes, torch.tensor([0, 0.5, 0.25]), dead_share=0.1)
    assert health.perplexity.tolist() == pytest.approx([4, 1, 2])
    assert health.dead_share.tolist() == [0, 0.75, 0.5]
    assert health.to_metrics()["expiry_rate"] == [0, 0.5, 0.25]
    assert [has_collapsed(value, 40) for value in (3.99, 4.0)] == [True, False]
