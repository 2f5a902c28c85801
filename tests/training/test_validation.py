import math

import pytest
import torch

from codec.config import CodecConfig, QuantizerConfig
from codec.model import Codec
from codec.nacre.config import NacreConfig
from codec.seanet.config import SeanetConfig
from data_pipelines.validation import ValidationClip
from training import perceptual
from training.config import DenoisingConfig, ValidationConfig
from training.metrics import measure
from training.validation import Validator

CPU = torch.device("cpu")
CODEC = CodecConfig(
    name="tiny",
    hop_length=160,
    latent_dim=8,
    quantizer=QuantizerConfig(num_quantizers=6, codebook_size=16),
    network=NacreConfig(width=8, expansion=1, encoder_blocks=1, level_bands=4),
)


@pytest.fixture
def codec():
    torch.manual_seed(0)
    codec = Codec(CODEC).eval()
    codec.initialize_codebooks(0.1 * torch.randn(4, 1, 3200))
    return codec


@pytest.fixture
def clips(make_voice):
    return [ValidationClip(str(seed), torch.from_numpy(make_voice(seed, 0.5))[None, None], None) for seed in (1, 2)]


def validator(**changes):
    settings = {"metrics": ("mel_distance", "si_sdr_db")} | changes
    return Validator(CODEC, ValidationConfig(**settings), DenoisingConfig())


def test_lower_bitrates_are_scored_on_prefixes_of_the_same_codes(codec, clips):
    validation = validator()
    with torch.no_grad():
        heard = [validation.score(codec, clip) for clip in clips]
    means = validation.finish(CPU)
    rates = [f"{CODEC.bitrate_kbps(k):g}kbps/" for k in (1, 3)]
    assert set(means) == {prefix + name for prefix in ("", *rates) for name in ("mel_distance", "si_sdr_db")}
    for prefix, stages in zip((*rates, ""), (1, 3, 6), strict=True):
        with torch.no_grad():
            decoded = [
                codec.decode(codec.encode(clip.audio, num_quantizers=stages), num_samples=8000) for clip in clips
            ]
        wanted = [measure(audio[0], clip.audio[0], 16_000).scores for audio, clip in zip(decoded, clips, strict=True)]
        for name in ("mel_distance", "si_sdr_db"):
            assert means[prefix + name] == pytest.approx(sum(scores[name] for scores in wanted) / 2, rel=1e-5)
    assert all(torch.equal(*pair) for pair in zip(heard, decoded, strict=True))
    assert validation.finish(CPU) == {}


@pytest.mark.parametrize(
    "chosen, most, wanted",
    [(None, 12, [1, 6]), (None, 2, [1]), (None, 1, []), ((2, 4, 40, 4), 12, [2, 4]), ((), 12, [])],
)
def test_stages_that_are_scored(chosen, most, wanted):
    assert ValidationConfig(num_quantizers=chosen).lower_stages(most) == wanted


def test_what_chooses_checkpoints_is_always_measured():
    with pytest.raises(ValueError, match="must have mel_distance"):
        ValidationConfig(metrics=("pesq",))


def test_before_the_codebooks_are_set_the_quantizer_is_bypassed(clips):
    torch.manual_seed(0)
    codec = Codec(CODEC).eval()
    validation = validator()
    with torch.no_grad():
        heard = validation.score(codec, clips[0])
        assert torch.equal(heard, codec(clips[0].audio, None).reconstruction)
    assert set(validation.finish(CPU)) == {"mel_distance", "si_sdr_db"}


def test_a_codec_that_denoises_is_scored_on_that_too(clips):
    network = SeanetConfig(filters=2, ratios=(2, 2), lstm_layers=0, denoising=True)
    config = CodecConfig(
        name="tiny",
        family="seanet",
        hop_length=4,
        latent_dim=8,
        quantizer=QuantizerConfig(num_quantizers=2, codebook_size=16),
        network=network,
    )
    codec = Codec(config).eval()
    codec.initialize_codebooks(0.1 * torch.randn(4, 1, 800))
    validation = Validator(config, ValidationConfig(metrics=("mel_distance",)), DenoisingConfig())
    with torch.no_grad():
        validation.score(codec, clips[0]._replace(noise=0.1 * torch.randn(1, 1, 8000)))
    means = validation.finish(CPU)
    assert set(means) == {"mel_distance", "denoised/mel_distance", f"{config.bitrate_kbps(1):g}kbps/mel_distance"}


def test_an_undefined_score_is_left_out_and_its_reason_told_once(codec, clips, capsys):
    validation = validator()
    silent = clips[0]._replace(audio=torch.zeros(1, 1, 8000))
    for _ in range(2):
        with torch.no_grad():
            validation.score(codec, silent)
            validation.score(codec, clips[1])
        alone = measure(validation.score(codec, clips[1])[0], clips[1].audio[0], 16_000).scores["si_sdr_db"]
        assert validation.finish(CPU)["si_sdr_db"] == pytest.approx(alone, rel=1e-4)
        validation.tell_undefined()
    assert capsys.readouterr().err.splitlines() == [
        "validation leaves 3 scores out of the mean of si_sdr_db: the original is silent"
    ]


def test_what_is_not_installed_is_off_with_a_line(codec, clips, monkeypatch, capsys):
    monkeypatch.setattr(perceptual, "find_spec", lambda name: None)
    validation = validator(metrics=("mel_distance", "pesq", "visqol"), num_quantizers=())
    validation.tell_missing()
    assert capsys.readouterr().err.splitlines() == [
        "validation goes without pesq and visqol, not installed: pip install 'nacre[metrics]'"
    ]
    with torch.no_grad():
        validation.score(codec, clips[0])
    assert set(validation.finish(CPU)) == {"mel_distance"}


def test_visqol_without_its_lattice_is_refused(monkeypatch):
    monkeypatch.setattr(perceptual, "find_spec", lambda name: None if name == "ai_edge_litert" else math)
    with pytest.raises(perceptual.MissingToolError, match="without its extra lattice"):
        validator(metrics=("mel_distance", "visqol"))
    assert validator(metrics=("mel_distance", "pesq")).missing == []
