import pytest
import torch

from training.config import AugmentationConfig, DenoisingConfig
from training.examples import Examples, apply_gain, mix_noise, rotate_phase, vary_phase

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


def test_phase_rotation_keeps_length_and_spectrum_of_both_and_flips_are_exact():
    config = AugmentationConfig(rotation_share=0.5, flip_share=0.5)
    audio = signal(0, channels=2)[..., :-1]
    examples = vary_phase(Examples(inputs=audio, targets=0.5 * audio), config, seed=0, step=0)
    assert examples.inputs.shape == audio.shape
    torch.testing.assert_close(examples.targets, 0.5 * examples.inputs)
    before, after = (torch.fft.rfft(a)[..., 1:].abs() for a in (audio, examples.inputs))
    torch.testing.assert_close(before, after, rtol=1e-3, atol=1e-4)
    kept, flipped = ((examples.inputs == sign * audio).all((1, 2)).float().mean() for sign in (1, -1))
    assert float(kept) == pytest.approx(0.25, abs=0.07)
    assert float(flipped) == pytest.approx(0.25, abs=0.07)


def test_a_rotation_by_a_quarter_turns_cosine_into_sine():
    phase = 2 * torch.pi * 5 * torch.arange(800) / 800
    turned = rotate_phase(torch.cos(phase)[None, None], torch.tensor([torch.pi / 2]))
    torch.testing.assert_close(turned[0, 0], -torch.sin(phase), atol=1e-5, rtol=0)


def test_without_shares_phases_are_untouched():
    audio = signal(0)
    assert vary_phase(Examples(inputs=audio, targets=audio), AugmentationConfig(), seed=0, step=0).inputs is audio


def test_items_are_brought_to_one_level_before_the_gain_without_clipping():
    levels = torch.tensor([1e-3, 1e-2, 0.3, 0.0])[:, None, None]
    audio = 10 * levels * signal(0, 4)
    audio[1, 0, 0] = 0.5
    config = AugmentationConfig(level_dbfs=-20, min_gain_db=0, max_gain_db=0)
    examples = apply_gain(Examples(inputs=audio, targets=audio), config, seed=0, step=0)
    rms = examples.inputs.square().mean((1, 2)).sqrt()
    assert rms[[0, 2]].tolist() == pytest.approx([0.1, 0.1], rel=1e-3)
    assert examples.inputs.abs().max() <= 0.951
    assert 0 < rms[1] < 0.1
    assert rms[3] == 0


@pytest.mark.parametrize("bad", [{"flip_share": 2.0}, {"rotation_share": -1.0}, {"level_dbfs": 3.0}])
def test_an_augmentation_out_of_range_is_named(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        AugmentationConfig(**bad)
