"""Each discriminator against its published structure, and what all have in common."""

import copy
from itertools import pairwise

import pytest
import torch

from codec.errors import RunError
from training.config import DiscriminatorConfig
from training.discriminators.config import (
    BandConfig,
    PeriodConfig,
    ResidualConfig,
    SmallConfig,
    STFTConfig,
    WaveConfig,
)
from training.discriminators.ensemble import Discriminator
from training.losses.adversarial import discriminator_loss, feature_matching_loss, generator_loss

# Small ones, and how many judgements each returns.
SMALL = {
    "small": (SmallConfig(windows=(256, 128), width=4), 2),
    "stft": (STFTConfig(windows=(256, 128), width=4), 2),
    "period": (PeriodConfig(periods=(2, 3, 5), width=2), 3),
    "bands": (BandConfig(windows=(256, 128), width=4), 2),
    "wave": (WaveConfig(rates=(1, 2), width=4), 2),
    "residual": (ResidualConfig(window=256, width=4), 1),
}


def noise(*shape, scale=0.1, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def build(*names, channels=1):
    torch.manual_seed(0)
    return Discriminator(DiscriminatorConfig(**{"small": None} | {name: SMALL[name][0] for name in names}), channels)


def published(**kinds):
    return Discriminator(DiscriminatorConfig(**{"small": None} | kinds), 1)


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def convolution(inputs, outputs, taps):
    """Weights, biases and the magnitudes of weight norm."""
    return inputs * outputs * taps + 2 * outputs


def test_stft_has_the_structure_of_encodec():
    """Of facebookresearch/encodec, encodec/msstftd.py: 3 x 9 kernels, dilations 1, 2, 4, frequency halved thrice."""
    network = published(stft=STFTConfig())
    layers = [convolution(2, 32, 27), *[convolution(32, 32, 27)] * 3, convolution(32, 32, 9), convolution(32, 1, 9)]
    assert parameters(network) == 5 * sum(layers) == 472_490
    judgements = network(noise(1, 1, 24_000))
    assert [len(judgement) for judgement in judgements] == [6] * 5
    for judgement, window in zip(judgements, (2048, 1024, 512, 256, 128), strict=True):
        frames, bins = 1 + 24_000 // (window // 4), window // 2 + 1
        halved = [-(-bins // 2**n) for n in range(4)]
        wanted = [(32, frames, bins) for bins in (*halved, halved[-1])] + [(1, frames, halved[-1])]
        assert [tuple(feature.shape[1:]) for feature in judgement] == wanted


def test_period_has_the_structure_of_hifi_gan():
    """Of descript-audio-codec, dac/model/discriminator.py, MPD: 32 to 1024 channels, kernels of 5, strides of 3."""
    network = published(period=PeriodConfig())
    widths = [(1, 32), (32, 128), (128, 512), (512, 1024), (1024, 1024)]
    layers = [*[convolution(*pair, 5) for pair in widths], convolution(1024, 1, 3)]
    assert parameters(network) == 5 * sum(layers) == 41_105_770
    for judgement, period in zip(network(noise(1, 1, 8192)), (2, 3, 5, 7, 11), strict=True):
        rows = [-(-8192 // period)]
        for stride in (3, 3, 3, 3, 1):
            rows.append(-(-rows[-1] // stride))
        assert [feature.shape[2:] for feature in judgement] == [(row, period) for row in (*rows[1:], rows[-1])]


def test_bands_have_the_structure_of_dac():
    """Of descript-audio-codec, dac/model/discriminator.py: five bands of five layers, one verdict over them."""
    network = published(bands=BandConfig())
    stack = [convolution(2, 32, 27), *[convolution(32, 32, 27)] * 3, convolution(32, 32, 9)]
    assert parameters(network) == 3 * (5 * sum(stack) + convolution(32, 1, 9)) == 1_413_990
    for judgement, window in zip(network(noise(1, 1, 8192)), (2048, 1024, 512), strict=True):
        assert len(judgement) == 26
        bins = window // 2 + 1
        edges = [int(edge * bins) for edge in (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)]
        widths = [high - low for low, high in pairwise(edges)]
        assert [feature.shape[-1] for feature in judgement[:-1:5]] == widths
        assert judgement[-1].shape[-1] == sum(feature.shape[-1] for feature in judgement[4:-1:5])


def test_wave_has_the_structure_of_melgan():
    """Of descript-audio-codec, dac/model/discriminator.py, MSD: 16 to 1024 channels, groups of four, 1/256 the rate."""
    network = published(wave=WaveConfig())
    grouped = [convolution(4, outputs, 41) for outputs in (64, 256, 1024, 1024)]
    layers = [convolution(1, 16, 15), *grouped, convolution(1024, 1024, 5), convolution(1024, 1, 3)]
    assert parameters(network) == 3 * sum(layers) == 16_924_086
    assert [judgement[-1].shape for judgement in network(noise(1, 1, 8192))] == [(1, 1, 32), (1, 1, 16), (1, 1, 8)]


def test_residual_has_the_structure_of_soundstream():
    """Of arXiv 2107.03312, figure 5: six units, eight times the width, one logit for each of every eight frames."""
    (judgement,) = published(residual=ResidualConfig())(noise(1, 1, 8640))
    assert [feature.shape[1] for feature in judgement] == [32, 32, 64, 128, 128, 256, 256, 1]
    assert [feature.shape[3] for feature in judgement] == [512, 256, 128, 64, 32, 16, 8, 1]
    frames = 1 + 8640 // 256
    assert judgement[-1].shape[2] == -(-frames // 8)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("name", SMALL)
def test_any_length_is_judged_and_each_item_alone(name, channels):
    network = build(name, channels=channels)
    for length in (network.minimum_samples, 1601, 3200):
        audio = noise(4, channels, length)
        judgements = network(audio)
        assert len(judgements) == SMALL[name][1]
        for judgement, alone in zip(judgements, network(audio[2:3]), strict=True):
            for feature, other in zip(judgement, alone, strict=True):
                assert torch.isfinite(feature).all()
                torch.testing.assert_close(feature.chunk(4)[2], other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_both_channels_are_heard(name):
    network, audio = build(name, channels=2), noise(1, 2, 2000)
    for channel in (0, 1):
        changed = audio.clone()
        changed[:, channel] = noise(2000, seed=9)
        assert any(not torch.equal(a[-1], b[-1]) for a, b in zip(network(audio), network(changed), strict=True))


@pytest.mark.parametrize("name", SMALL)
def test_what_is_too_short_is_refused(name):
    network = build(name)
    with pytest.raises(
        RunError, match=rf"need {network.minimum_samples} samples but get {network.minimum_samples - 1}"
    ):
        network(noise(1, 1, network.minimum_samples - 1))


@pytest.mark.parametrize("name", SMALL)
def test_gradients_reach_the_audio_and_every_parameter(name):
    network, audio = build(name), noise(2, 1, 2000).requires_grad_()
    real, fake = network(noise(2, 1, 2000, seed=1)), network(audio)
    discriminator_loss(real, fake, "hinge").backward(retain_graph=True)
    assert all(parameter.grad is not None for parameter in network.parameters())
    audio.grad = None
    (generator_loss(fake, "hinge") + feature_matching_loss(real, fake)).backward()
    assert torch.isfinite(audio.grad).all()
    assert (audio.grad != 0).float().mean() > 0.9


@pytest.mark.parametrize("name", SMALL)
def test_silence_has_finite_gradients(name):
    network, audio = build(name), torch.zeros(1, 1, 2000, requires_grad=True)
    generator_loss(network(audio), "least_squares").backward()
    assert torch.isfinite(audio.grad).all()


@pytest.mark.parametrize("name", SMALL)
def test_bf16_judges_as_fp32_does(name):
    network, audio = build(name).requires_grad_(False), noise(2, 1, 2000)
    wanted = network(audio)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = network(audio)
    for judgement, other in zip(wanted, got, strict=True):
        assert other[-1].dtype == torch.bfloat16
        scale = float(judgement[-1].abs().max())
        torch.testing.assert_close(other[-1].float(), judgement[-1], atol=0.05 * scale, rtol=0.05)


def test_several_join_in_one_and_survive_a_file_and_a_copy(tmp_path):
    network, audio = build(*SMALL), noise(1, 1, 2000)
    wanted = network(audio)
    assert len(wanted) == sum(count for _, count in SMALL.values())
    torch.save(network.state_dict(), tmp_path / "state.pt")
    other = build(*SMALL)
    for parameter in other.parameters():
        torch.nn.init.zeros_(parameter)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for again in (other(audio), copy.deepcopy(network)(audio)):
        assert all(torch.equal(a[-1], b[-1]) for a, b in zip(wanted, again, strict=True))


@pytest.mark.parametrize(
    ("cls", "bad", "message"),
    [
        (STFTConfig, {"windows": ()}, "windows"),
        (PeriodConfig, {"periods": (2, 0)}, "periods"),
        (BandConfig, {"edges": (0.0, 0.5, 0.2)}, "edges"),
        (BandConfig, {"windows": (16,), "edges": (0.0, 0.01, 1.0)}, "bins apart"),
        (ResidualConfig, {"window": 1000}, "multiple of 128"),
        (DiscriminatorConfig, {"small": None}, "no kind"),
        (DiscriminatorConfig, {"learning_share": 0.0}, "learning_share"),
    ],
)
def test_a_value_out_of_range_is_named(cls, bad, message):
    with pytest.raises(ValueError, match=message):
        cls(**bad)


def test_shares_of_steps_are_evenly_spread():
    config = DiscriminatorConfig(start_step=10, lead_steps=4, learning_share=0.5, hearing_share=2 / 3)
    assert [step for step in range(20) if config.judges(step)] == [10, 12, 14, 16, 18]
    heard = [step for step in range(14, 44) if config.is_heard(step)]
    assert heard[0] == 14
    assert len(heard) == 20
    assert not any(config.is_heard(step) for step in range(14))
    assert config.learning_steps(20) == 5
