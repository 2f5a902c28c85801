import pytest
import torch

from training.losses.balancer import GradientBalancer


def shares(balancer, reconstruction, scale=1.0):
    """Return the gradient that the balancer makes of two losses on halves of the reconstruction."""
    half = reconstruction.shape[-1] // 2
    losses = {
        "mel": scale * reconstruction[..., :half].square().mean(),
        "adversarial": reconstruction[..., half:].sin().mean(),
    }
    (gradient,) = torch.autograd.grad(balancer(losses, reconstruction), reconstruction)
    return gradient[..., :half], gradient[..., half:]


def audio(items=4, seed=0):
    return torch.randn(items, 1, 64, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def item_norm(gradient):
    """The mean norm of the gradient of one item's loss: losses are means over items."""
    return float(gradient.flatten(1).norm(dim=1).mean()) * len(gradient)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_weights_are_shares_of_the_gradient_at_any_scale(scale):
    first, second = shares(GradientBalancer({"mel": 1.0, "adversarial": 3.0}), audio(), scale)
    assert item_norm(first) == pytest.approx(0.25, rel=1e-4)
    assert item_norm(second) == pytest.approx(0.75, rel=1e-4)


def test_the_gradient_is_a_mean_over_items_whatever_their_number():
    once = audio(2)
    twice = torch.cat([once.detach()] * 2).requires_grad_()
    for one, two in zip(
        *(shares(GradientBalancer({"mel": 1, "adversarial": 1}), a) for a in (once, twice)), strict=True
    ):
        torch.testing.assert_close(two[:2], one / 2)


def test_norms_are_averaged_over_steps_and_not_of_one():
    """A loss that is suddenly ten times as steep pulls almost ten times as strongly."""
    balancer = GradientBalancer({"mel": 1.0, "adversarial": 1.0})
    for step in range(50):
        before, _ = shares(balancer, audio(seed=step % 2))
    after, _ = shares(balancer, audio(seed=1), scale=10.0)
    assert 8 < item_norm(after) / item_norm(before) < 9.9


def test_state_resumes_exactly():
    balancer, other = (GradientBalancer({"mel": 1.0, "adversarial": 1.0}) for _ in range(2))
    for step in range(5):
        shares(balancer, audio(seed=step))
    other.load_state_dict(balancer.state_dict())
    for one, two in zip(shares(balancer, audio(seed=9)), shares(other, audio(seed=9)), strict=True):
        assert torch.equal(one, two)


def test_losses_of_no_weight_and_absent_ones_take_no_share():
    balancer, reconstruction = GradientBalancer({"mel": 1.0, "linear": 0.0, "adversarial": 3.0}), audio()
    losses = {"mel": reconstruction.square().mean(), "linear": reconstruction.abs().mean()}
    (gradient,) = torch.autograd.grad(balancer(losses, reconstruction), reconstruction)
    assert item_norm(gradient) == pytest.approx(1, rel=1e-4)
