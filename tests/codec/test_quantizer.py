import pytest
import torch

from codec.config import QuantizerConfig
from codec.nearest import nearest, search_tables
from codec.quantizer import ResidualVectorQuantizer, rows_of_latents

CONFIG = QuantizerConfig(num_quantizers=3, codebook_size=16, ema_decay=0.9, dead_share=0.05)


def make_quantizer(dimension=8, config=CONFIG):
    quantizer = ResidualVectorQuantizer(config, dimension)
    quantizer.initialize(latents(0, batch=16))
    return quantizer


def latents(seed, batch=4, frames=25, dimension=8):
    generator = torch.Generator().manual_seed(seed)
    scale = torch.linspace(0.2, 2, dimension)[:, None]
    return torch.randn(batch, dimension, frames, generator=generator) * scale


def full(batch=4, stages=3):
    return torch.full((batch,), stages)


def test_each_stage_chooses_the_nearest_entry_of_what_is_left():
    quantizer, z = make_quantizer().eval(), latents(1)
    codes = quantizer.encode(z, 3)
    residual = z.transpose(1, 2)
    for stage in range(3):
        distance = torch.cdist(residual, quantizer.codebooks[stage].expand(4, -1, -1))
        chosen = quantizer.codebooks[stage][codes[:, stage]]
        best = distance.min(-1).values
        torch.testing.assert_close((residual - chosen).norm(dim=-1), best)
        residual = residual - chosen
    torch.testing.assert_close(quantizer.decode(codes), (z.transpose(1, 2) - residual).transpose(1, 2))


def test_more_stages_code_better():
    quantizer, z = make_quantizer().eval(), latents(1)
    errors = [(quantizer.decode(quantizer.encode(z, k)) - z).square().mean() for k in (1, 2, 3)]
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("batch", [1, 2])
def test_rows_lie_alike_whatever_the_batch(batch):
    """A view of columns, as one item's latents are, gets other bits from the same product."""
    latents = torch.randn(batch, 8, 5)
    rows = rows_of_latents(latents)
    assert rows.stride() == (8, 1)
    assert torch.equal(rows[:5], latents[0].T)


def test_dropout_masks_per_item():
    quantizer, z = make_quantizer().eval(), latents(1)
    output = quantizer(z, torch.tensor([1, 2, 3, 3]))
    codes = quantizer.encode(z, 3)
    torch.testing.assert_close(output.codes, codes)
    for item, stages in enumerate((1, 2, 3, 3)):
        expected = quantizer.decode(codes[item : item + 1, :stages])
        torch.testing.assert_close(output.quantized[item : item + 1], expected, atol=1e-5, rtol=0)


def test_gradient_passes_straight_through_and_commitment_pulls():
    quantizer, z = make_quantizer().train(), latents(1).requires_grad_()
    output = quantizer(z, full())
    weight = torch.randn_like(z)
    (output.quantized * weight).sum().backward()
    torch.testing.assert_close(z.grad, weight)
    z.grad = None
    quantizer(z, full()).commitment_loss.backward()
    assert z.grad.abs().sum() > 0


def test_codebooks_stay_in_fp32_under_autocast():
    quantizer, z = make_quantizer().train(), latents(1)
    with torch.autocast("cpu", torch.bfloat16):
        output = quantizer(z.bfloat16(), full())
    assert output.quantized.dtype == output.commitment_loss.dtype == quantizer.codebooks.dtype == torch.float32


def test_training_lowers_the_error_and_evaluation_changes_nothing():
    quantizer, z = make_quantizer(), latents(7, batch=32)
    before = quantizer.state_dict()["codebooks"].clone()
    quantizer.eval()(z, full(32))
    assert torch.equal(before, quantizer.codebooks)
    first = quantizer(z, full(32)).commitment_loss
    quantizer.train()
    for _ in range(30):
        quantizer(z, full(32))
    assert quantizer.eval()(z, full(32)).commitment_loss < first


def test_dead_entries_are_truly_revived():
    """What is revived must survive the next step's average and be chosen by real data."""
    quantizer = make_quantizer().train()
    far = 1000.0
    quantizer.codebooks[:, 3:] = far
    quantizer.reset_statistics()
    assert quantizer.eval()(latents(1), full()).codes.unique().numel() <= 3
    quantizer.train()
    for seed in range(60):
        quantizer(latents(seed), full())
    assert quantizer.codebooks.abs().max() < far / 10
    codes = quantizer.eval()(latents(99, batch=16), full(16)).codes
    for stage in range(3):
        assert codes[:, stage].unique().numel() > 10


def test_initialisation_depends_on_the_seed_alone():
    first, second = make_quantizer(), make_quantizer()
    assert torch.equal(first.codebooks, second.codebooks)
    second.initialize(latents(0, batch=16), seed=1)
    assert not torch.equal(first.codebooks, second.codebooks)


def test_it_initialises_from_fewer_vectors_than_entries():
    quantizer = ResidualVectorQuantizer(CONFIG, 8)
    quantizer.initialize(latents(0, batch=1, frames=3))
    assert torch.isfinite(quantizer.codebooks).all()


@pytest.mark.parametrize("size", [7, 16, 48, 1024])
def test_nearest_is_the_first_of_the_nearest(size):
    generator = torch.Generator().manual_seed(size)
    centroids = torch.randint(-2, 3, (size, 3), generator=generator).float()  # many are equal
    vectors = torch.randint(-3, 4, (200, 3), generator=generator).float()
    expected = torch.cdist(vectors.double(), centroids.double()).square().round().argmin(1)
    assert torch.equal(nearest(vectors, centroids), expected)
    assert torch.equal(search_tables(centroids[None])[0].nearest(vectors), expected)


def test_inference_follows_codebooks_that_change():
    """It searches them as they were laid out once, until they change."""
    quantizer, z = make_quantizer().eval(), latents(1)
    for _ in range(2):
        expected = quantizer.encode(z, 3)
        with torch.inference_mode():
            assert torch.equal(quantizer.encode(z, 3), expected)
            assert torch.equal(quantizer(z, full()).codes, expected)
        quantizer.train()(latents(2), full())
        quantizer.eval()
    assert not torch.equal(quantizer.encode(z, 3), expected)
