import numpy as np
import pytest
import torch

from training.discriminators.config import SmallConfig
from training.discriminators.small import SmallDiscriminator
from training.losses.adversarial import discriminator_loss, feature_matching_loss, generator_loss
from training.losses.mel import FLOOR, MultiScaleMelLoss, slaney_filterbank
from training.losses.stft import MultiResolutionSTFTLoss, waveform_distance


def noise(*shape, scale=0.1, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def reference_log_mel(samples, window, mels, rate):
    """Plain numpy: reflect-padded frames, a periodic Hann window, mean magnitude under each Slaney triangle."""
    padded = np.pad(samples, window // 2, mode="reflect")
    starts = range(0, len(padded) - window + 1, window // 4)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    spectrum = np.fft.rfft([padded[i : i + window] * hann for i in starts]) * 2 / window
    magnitude = np.sqrt(np.abs(spectrum) ** 2 + FLOOR**2)
    filters = slaney_filterbank(rate, window, mels)
    filters = filters[filters.sum(1) > 0]
    return np.log(magnitude @ (filters / filters.sum(1, keepdims=True)).T)


def test_mel_loss_equals_its_formula():
    audio, reconstruction = noise(2, 1, 4000), noise(2, 1, 4000, seed=1)
    scales = ((64, 10), (512, 40))
    loss = MultiScaleMelLoss(16_000, [w for w, _ in scales], [m for _, m in scales])(reconstruction, audio)
    expected = np.mean(
        [
            np.abs(
                reference_log_mel(reconstruction[b, 0].double().numpy(), window, mels, 16_000)
                - reference_log_mel(audio[b, 0].double().numpy(), window, mels, 16_000)
            ).mean()
            for window, mels in scales
            for b in range(2)
        ]
    )
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_slaney_filters_have_unit_area_and_known_centres():
    rate, window = 16_000, 4096
    filters = slaney_filterbank(rate, window, 40)
    assert filters.shape == (40, window // 2 + 1)
    assert (filters >= 0).all()
    np.testing.assert_allclose(filters.sum(1) * rate / window, 1, atol=0.02)
    centres = filters.argmax(1) * rate / window
    # Slaney's scale has 15 mels of 66.67 Hz each below 1 kHz, then 27 for each factor of 6.4.
    spacing = (15 + 27 * np.log(8) / np.log(6.4)) / 41
    assert centres[0] == pytest.approx(spacing * 200 / 3, abs=rate / window)
    assert centres[-1] == pytest.approx(8000 * 6.4 ** (-spacing / 27), abs=2 * rate / window)


@pytest.mark.parametrize("predicted, target", [(0.0, 0.0), (0.0, 0.1), (0.1, 0.0)])
def test_silence_gives_finite_losses_and_gradients(predicted, target):
    reconstruction = noise(1, 1, 3000, scale=predicted).requires_grad_()
    audio = noise(1, 1, 3000, scale=target, seed=1)
    stft = MultiResolutionSTFTLoss((256,))(reconstruction, audio)
    mel = MultiScaleMelLoss(16_000, (64, 512), (10, 40))(reconstruction, audio)
    loss = mel + stft.linear + stft.complex + waveform_distance(reconstruction, audio)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(reconstruction.grad).all()


def test_only_the_complex_distance_sees_a_flipped_sign():
    audio = noise(1, 1, 4000)
    distances = MultiResolutionSTFTLoss((256, 1024))(-audio, audio)
    assert float(distances.linear) < 1e-2
    assert float(distances.complex) > 1
    assert float(MultiScaleMelLoss(16_000, (256,), (20,))(-audio, audio)) < 1e-5


@pytest.mark.parametrize("loss", [MultiResolutionSTFTLoss((256,)), waveform_distance])
def test_losses_of_a_batch_are_the_mean_of_its_parts(loss):
    """What makes N ranks equal one rank on the joint batch."""
    audio = torch.cat([noise(2, 1, 2000), noise(2, 1, 2000, scale=0.01, seed=1)])
    reconstruction = noise(4, 1, 2000, seed=2)

    def value(part):
        result = loss(reconstruction[part], audio[part])
        return float(result) if isinstance(result, torch.Tensor) else float(result.complex)

    halves = (value(slice(0, 2)) + value(slice(2, 4))) / 2
    assert value(slice(None)) == pytest.approx(halves, rel=1e-5)


@pytest.mark.parametrize("kind", ["hinge", "least_squares"])
def test_adversarial_losses_pull_apart(kind):
    sure = [[torch.ones(1, 1), torch.full((1, 1), 1.0)]]
    fooled = [[torch.ones(1, 1), torch.full((1, 1), 1.0)]]
    caught = [[torch.zeros(1, 1), torch.full((1, 1), -1.0)]]
    assert discriminator_loss(sure, caught, "hinge") == 0
    assert discriminator_loss(sure, caught, kind) < discriminator_loss(caught, fooled, kind)
    assert generator_loss(fooled, kind) < generator_loss(caught, kind)
    assert feature_matching_loss(sure, fooled) == 0
    assert feature_matching_loss(sure, caught) == pytest.approx(1, rel=0.01)


STEREO_LOSSES = {
    "mel": MultiScaleMelLoss(16_000, (256,), (20,)),
    "linear": lambda *pair: MultiResolutionSTFTLoss((256,))(*pair).linear,
    "complex": lambda *pair: MultiResolutionSTFTLoss((256,))(*pair).complex,
    "waveform": waveform_distance,
}


@pytest.mark.parametrize("name", STEREO_LOSSES)
def test_swapped_channels_are_an_error_and_their_order_is_no_matter(name):
    loss = STEREO_LOSSES[name]
    time = torch.arange(4000) / 16_000
    audio = torch.stack([0.3 * torch.sin(2 * torch.pi * hz * time) for hz in (400, 2000)])[None]
    nearly = audio + noise(1, 2, 4000, scale=0.0003)
    assert float(loss(audio.flip(1), audio)) > 5 * float(loss(nearly, audio))
    assert float(loss(nearly.flip(1), audio.flip(1))) == pytest.approx(float(loss(nearly, audio)), rel=1e-5)
    mono = audio.mean(1, keepdim=True).expand(-1, 2, -1)
    assert float(loss(mono, audio)) > 5 * float(loss(nearly, audio))


def test_the_mel_loss_of_stereo_is_the_mean_of_its_channels():
    loss, audio, reconstruction = STEREO_LOSSES["mel"], noise(2, 2, 4000), noise(2, 2, 4000, seed=1)
    apart = [float(loss(reconstruction[:, [c]], audio[:, [c]])) for c in (0, 1)]
    assert float(loss(reconstruction, audio)) == pytest.approx(sum(apart) / 2, rel=1e-5)


def test_the_discriminator_hears_both_channels_of_each_item_and_no_other_items():
    torch.manual_seed(0)
    discriminator = SmallDiscriminator(SmallConfig(windows=(256,), width=4), channels=2)
    audio = noise(3, 2, 3000)
    (judgement,) = discriminator(audio)
    for channel in (0, 1):
        changed = audio.clone()
        changed[1, channel] = noise(3000, seed=9)
        (other,) = discriminator(changed)
        assert not torch.equal(other[-1][1], judgement[-1][1])
        torch.testing.assert_close(other[-1][[0, 2]], judgement[-1][[0, 2]])
    (swapped,) = discriminator(audio.flip(1))
    assert not torch.allclose(swapped[-1], judgement[-1], atol=1e-3)
