import pytest
import torch

from training.balance import adversarial_balance


def judgements(*logits):
    """One discriminator with a feature before its logits for each tensor."""
    return [[torch.ones(1), torch.tensor(values)] for values in logits]


@pytest.mark.parametrize("kind, middle", [("hinge", 0.0), ("least_squares", 0.5)])
def test_accuracies_are_means_over_discriminators_of_their_own_means(kind, middle):
    real = judgements([middle + 0.1, middle + 0.2, middle + 0.3, middle - 0.1], [middle - 0.1, middle + 0.1])
    fake = judgements([middle - 0.1, middle - 0.2, middle - 0.3, middle - 0.1], [middle + 0.1, middle + 0.1])
    balance = adversarial_balance(real, fake, kind)
    assert float(balance["accuracy_real"]) == pytest.approx((0.75 + 0.5) / 2)
    assert float(balance["accuracy_fake"]) == pytest.approx((1 + 0) / 2)


def test_the_ratio_of_losses_rises_as_the_generator_loses():
    lost = adversarial_balance(judgements([0.99]), judgements([0.01]), "least_squares")
    even = adversarial_balance(judgements([0.5]), judgements([0.5]), "least_squares")
    assert float(even["generator_loss_ratio"]) == pytest.approx(0.25 / 0.5)
    assert float(lost["generator_loss_ratio"]) > 1000 * float(even["generator_loss_ratio"])
