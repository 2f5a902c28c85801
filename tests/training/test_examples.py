import pytest
import torch

from training.config import AugmentationConfig, DenoisingConfig
from training.examples import Examples, apply_gain, mix_noise

ITEMS = 400


def signal(seed, count=ITEMS, channels=1):
    return 0.1 * torch.randn(count, channels, 800, generator=torch.Generator().manual_seed(seed))


def mixed(**changes):
    return mix_noise(signal(0), signal(1), DenoisingConfig(**changes), seed=5, step=7)


def snr_db(examples, audio):
    noise = examples.inputs - audio
    return 10 * (audio.square().sum((1, 2)) / noise.square().sum((1, 2)).clamp_min(1e-12)).log10()


def test_denoised_items_aim_at_the_clean_audio_and_the_others_keep_their_noise():
    audio, examples = signal(0), mixed()
    asked = examples.denoise
    assert torch.equal(examples.targets[asked], audio[asked])
    assert torch.equal(examples.targets[~asked], examples.inputs[~asked])
    noisy = (examples.inputs != audio).flatten(1).any(1)
    for both in (asked & noisy, asked & ~noisy, ~asked & noisy, ~asked & ~noisy):
        assert both.any(), "every combination is learned from"


def test_shares_and_ratios_are_those_of_the_configuration():
    examples = mixed(noisy_share=0.3, denoise_share=0.8, min_snr_db=5, max_snr_db=15)
    noisy = (examples.inputs != signal(0)).flatten(1).any(1)
    assert float(noisy.float().mean()) == pytest.approx(0.3, abs=0.08)
    assert float(examples.denoise.float().mean()) == pytest.approx(0.8, abs=0.08)
    ratios = snr_db(examples, signal(0))[noisy]
    assert ratios.min() >= 5 - 1e-2
    assert ratios.max() <= 15 + 1e-2
    assert ratios.max() - ratios.min() > 8
    assert not (mixed(noisy_share=0).inputs != signal(0)).any()
    assert mixed(denoise_share=1).denoise.all()


def test_the_draw_is_of_the_seed_and_step_alone():
    again, config = mixed(), DenoisingConfig()
    assert torch.equal(mixed().inputs, again.inputs)
    assert torch.equal(mixed().denoise, again.denoise)
    for key in ({"seed": 5, "step": 8}, {"seed": 6, "step": 7}):
        other = mix_noise(signal(0), signal(1), config, **key)
        assert not torch.equal(other.denoise, again.denoise)
        assert not torch.equal(other.inputs, again.inputs)


@pytest.mark.parametrize("silent", ["audio", "noise"])
def test_silence_stays_finite_and_is_never_amplified(silent):
    audio, noise = (torch.zeros(ITEMS, 1, 800) if name == silent else signal(1) for name in ("audio", "noise"))
    examples = mix_noise(audio, noise, DenoisingConfig(noisy_share=1), seed=0, step=0)
    assert torch.equal(examples.inputs, audio)
    assert torch.equal(examples.targets, audio)


def test_one_gain_scales_input_and_target_and_clips_neither():
    audio = 5 * signal(0, channels=2)
    examples = mix_noise(audio, signal(1, channels=2), DenoisingConfig(max_snr_db=0), seed=0, step=0)
    louder = apply_gain(examples, AugmentationConfig(min_gain_db=-6, max_gain_db=20), seed=0, step=0)
    assert louder.inputs.abs().max() <= 0.951
    assert louder.targets.abs().max() <= 0.951
    gain = louder.inputs / examples.inputs
    torch.testing.assert_close(gain, gain[:, :1, :1].expand_as(gain), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(louder.targets, examples.targets * gain[:, :1, :1], rtol=1e-3, atol=1e-5)
    assert gain.max() / gain.min() > 2


def test_without_noise_only_the_gain_is_drawn():
    audio = signal(0)
    examples = apply_gain(Examples(inputs=audio, targets=audio), AugmentationConfig(), seed=0, step=0)
    assert examples.denoise is None
    assert torch.equal(examples.inputs, examples.targets)
    ratio_db = 20 * (examples.inputs.abs().amax((1, 2)) / audio.abs().amax((1, 2))).log10()
    assert -12.01 <= ratio_db.min() < ratio_db.max() <= 6.01


@pytest.mark.parametrize("bad", [{"noisy_share": 1.1}, {"denoise_share": -0.1}, {"min_snr_db": 31.0}])
def test_a_value_out_of_range_is_named(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        DenoisingConfig(**bad)
