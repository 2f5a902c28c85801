import pytest
import torch
from torch.nn.functional import normalize

from codec.config import QuantizerConfig
from codec.factorized import FactorizedResidualVectorQuantizer

CONFIG = QuantizerConfig(kind="factorized", num_quantizers=3, codebook_size=16, codebook_dim=4, ema_decay=0.9)


def make_quantizer(seed=0):
    torch.manual_seed(seed)
    quantizer = FactorizedResidualVectorQuantizer(CONFIG, 8)
    quantizer.initialize(latents(0, batch=16))
    return quantizer


def latents(seed, batch=4, frames=25, dimension=8):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.linspace(0.2, 2, dimension)[:, None]
    return torch.randn(batch, dimension, frames, generator=generator) * scale


def full(batch=4, stages=3):
    return torch.full((batch,), stages)


@torch.no_grad()
def test_each_stage_chooses_the_direction_nearest_to_what_is_left():
    quantizer, z = make_quantizer().eval(), latents(1)
    codes = quantizer.encode(z, 3)
    residual = z.transpose(1, 2)
    for number, stage in enumerate(quantizer.stages):
        similarity = normalize(stage.in_proj(residual), dim=-1) @ normalize(stage.codebook, dim=-1).T
        assert torch.equal(codes[:, number], similarity.argmax(-1))
        residual = residual - stage.out_proj(stage.codebook[codes[:, number]])
    torch.testing.assert_close(quantizer.decode(codes), (z.transpose(1, 2) - residual).transpose(1, 2))


@torch.no_grad()
def test_more_stages_code_better_from_the_start():
    quantizer, z = make_quantizer().eval(), latents(1)
    errors = [(quantizer.decode(quantizer.encode(z, k)) - z).square().mean() for k in (1, 2, 3)]
    assert z.square().mean() > errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("training", [False, True])
@torch.no_grad()
def test_dropout_masks_per_item(training):
    quantizer, z = make_quantizer().train(training), latents(1)
    output = quantizer(z, torch.tensor([1, 2, 3, 3]))
    codes = quantizer.encode(z, 3)
    assert torch.equal(output.codes, codes)
    for item, stages in enumerate((1, 2, 3, 3)):
        expected = quantizer.decode(codes[item : item + 1, :stages])
        torch.testing.assert_close(output.quantized[item : item + 1], expected, atol=1e-5, rtol=0)


def test_every_parameter_gets_a_gradient_when_all_items_drop_the_later_stages():
    quantizer, z = make_quantizer().train(), latents(1).requires_grad_()
    output = quantizer(z, full(stages=1))
    (output.quantized.sum() + output.commitment_loss + output.codebook_loss).backward()
    assert all(parameter.grad is not None for parameter in quantizer.parameters())
    assert quantizer.stages[0].codebook.grad.abs().sum() > 0
    assert quantizer.stages[1].codebook.grad.abs().sum() == 0
    assert z.grad.abs().sum() > 0


def gradient(loss, tensor):
    (result,) = torch.autograd.grad(loss, tensor, allow_unused=True, retain_graph=True)
    return 0 if result is None else float(result.abs().sum())


def test_each_loss_pulls_its_side():
    quantizer = make_quantizer().train()
    output = quantizer(latents(1), full(stages=1))
    stage = quantizer.stages[0]
    assert gradient(output.commitment_loss, stage.in_proj.weight) > 0
    assert gradient(output.commitment_loss, stage.codebook) == 0
    assert gradient(output.codebook_loss, stage.in_proj.weight) == 0
    assert gradient(output.codebook_loss, stage.codebook) > 0
    assert gradient(output.quantized.sum(), stage.in_proj.weight) > 0
    assert gradient(output.quantized.sum(), stage.codebook) == 0


def test_training_lowers_the_error():
    quantizer, z = make_quantizer().train(), latents(7, batch=32)
    optimizer = torch.optim.Adam(quantizer.parameters(), 1e-2)
    errors = []
    for _ in range(40):
        output = quantizer(z, full(32))
        error = (output.quantized - z).square().mean()
        optimizer.zero_grad()
        (error + 0.25 * output.commitment_loss + output.codebook_loss).backward()
        optimizer.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.8 * errors[0]


def test_it_stays_in_fp32_under_autocast():
    quantizer, z = make_quantizer().train(), latents(1)
    with torch.autocast("cpu", torch.bfloat16):
        output = quantizer(z.bfloat16(), full())
        decoded = quantizer.decode(quantizer.encode(z.bfloat16(), 3))
    assert output.quantized.dtype == output.commitment_loss.dtype == decoded.dtype == torch.float32


@torch.no_grad()
def test_health_follows_use_in_training_alone():
    quantizer = make_quantizer()
    torch.testing.assert_close(quantizer.health().perplexity, torch.full((3,), 16.0))
    quantizer.eval()(latents(1), full())
    torch.testing.assert_close(quantizer.health().perplexity, torch.full((3,), 16.0))
    quantizer.train()
    for _ in range(60):
        quantizer(latents(1)[:1, :, :1], full(1))
    health = quantizer.health()
    assert (health.perplexity < 2).all()
    torch.testing.assert_close(health.dead_share, torch.full((3,), 15 / 16))


def test_initialisation_depends_on_the_seed_alone():
    first, second = make_quantizer(), make_quantizer()
    assert torch.equal(first.stages[2].codebook, second.stages[2].codebook)
    second.initialize(latents(0, batch=16), seed=1)
    assert not torch.equal(first.stages[2].codebook, second.stages[2].codebook)
