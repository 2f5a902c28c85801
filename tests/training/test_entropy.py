import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

from codec.audio import read_audio
from codec.compress import compress, decompress
from codec.config import CodecConfig, QuantizerConfig
from codec.entropy import EntropyCoder
from codec.entropy.storage import load_tables
from codec.errors import CapabilityError, DataError
from codec.model import Codec
from codec.nacre.config import NacreConfig
from codec.package import ENTROPY, open_package
from codec.weights import load_package, write_package
from data_pipelines.build import build_dataset
from data_pipelines.settings import BuildConfig
from training.commands import train
from training.entropy import check_codebooks, fit_entropy, fit_package, measure_saving


def chain(num_blocks, seed):
    """Blocks [N, 20, 2] whose codes walk by one: what comes next is nearly certain, but every code as frequent."""
    rng = np.random.default_rng(seed)
    steps = np.where(rng.random((num_blocks, 20)) < 0.95, 1, rng.integers(0, 16, (num_blocks, 20)))
    first = (rng.integers(0, 16, (num_blocks, 1)) + steps.cumsum(axis=1)) % 16
    return np.stack([first, (first * 5 + 3) % 16], axis=2).astype(np.int16)


def test_what_the_codes_before_tell_is_learned():
    fit = fit_entropy(chain(2000, 0), chain(100, 1), 16, steps=300)
    assert fit.saving[1] > 0.4
    # The second stage follows from the first, so two stages save more than half.
    assert fit.saving[2] > 0.6
    fresh = chain(100, 2).astype(np.int64)
    assert measure_saving(EntropyCoder(fit.tables), fresh)[2] == pytest.approx(fit.saving[2], abs=0.05)


def test_the_same_blocks_give_the_same_tables():
    fits = [fit_entropy(chain(200, 0), chain(20, 1), 16, steps=20, seed=3) for _ in range(2)]
    assert fits[0].tables.fingerprint == fits[1].tables.fingerprint


@pytest.fixture(scope="module")
def package(shards, tmp_path_factory):
    """A package of a codec that has heard the voices of the data set, without entropy tables."""
    torch.manual_seed(0)
    network = NacreConfig(width=16, encoder_blocks=1, decoder_blocks=1, level_bands=4)
    config = CodecConfig(
        name="tiny", latent_dim=8, quantizer=QuantizerConfig(num_quantizers=3, codebook_size=32), network=network
    )
    codec = Codec(config)
    clips = [torch.from_numpy(read_audio(path).samples) for path in sorted(shards.parent.glob("*.wav"))]
    codec.initialize_network(torch.stack(clips))
    codec.initialize_codebooks(torch.stack(clips))
    directory = tmp_path_factory.mktemp("packages") / "plain"
    write_package(directory, codec, metrics={"mel_distance": 2.0}, lineage={"seed": 1})
    return directory


def test_a_package_with_tables_gives_the_same_audio_in_fewer_bytes(package, shards, tmp_path):
    arguments = ["entropy", str(package), "--data", str(shards), "--out", str(tmp_path / "fitted")]
    result = CliRunner().invoke(train, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "% smaller" in result.output
    plain, fitted = load_package(package), load_package(tmp_path / "fitted")
    assert fitted.package.fingerprint == plain.package.fingerprint
    assert fitted.package.metrics["mel_distance"] == 2.0
    assert 0.1 < fitted.package.metrics["entropy_saving"] < 0.9
    audio = read_audio(shards.parent / "3.wav")
    packed, coded = compress(plain, audio), compress(fitted, audio)
    assert len(coded) < 0.9 * len(packed)
    np.testing.assert_array_equal(decompress(fitted, coded).samples, decompress(plain, packed).samples)
    # Tables fitted later don't orphan what was packed before.
    np.testing.assert_array_equal(decompress(fitted, packed).samples, decompress(plain, packed).samples)


def test_known_tables_are_kept_where_they_save_more(package, shards, tmp_path, make_voice):
    whole = fit_package(package, str(shards), tmp_path / "whole")
    (tmp_path / "little").mkdir()
    soundfile.write(tmp_path / "little" / "a.wav", make_voice(3, 3.0), 16_000)
    build_dataset([tmp_path / "little"], tmp_path / "data", BuildConfig(val_percent=0, test_percent=0))
    known = load_tables(whole.directory / ENTROPY)
    kept = fit_package(package, str(tmp_path / "data"), tmp_path / "kept", rival=known)
    assert load_tables(kept.directory / ENTROPY).fingerprint == known.fingerprint
    # Tables of other codes lose to new ones.
    stranger = fit_entropy(chain_of_three(0), chain_of_three(1), 32, steps=10).tables
    fitted = fit_package(package, str(shards), tmp_path / "fitted", rival=stranger)
    assert load_tables(fitted.directory / ENTROPY).fingerprint != stranger.fingerprint


def chain_of_three(seed):
    blocks = chain(100, seed)
    return np.concatenate([blocks, blocks[..., :1]], axis=2)


def test_without_a_validation_split_blocks_are_left_out(package, shards, tmp_path):
    build_dataset([shards.parent], tmp_path / "data", BuildConfig(val_percent=0, test_percent=0))
    fitted = fit_package(package, str(tmp_path / "data"), tmp_path / "fitted")
    assert fitted.has_entropy
    # 16 records of 2 blocks, of which 3 are left out.
    assert fitted.lineage["entropy"]["blocks"] == 29


def test_data_that_does_not_fit_is_refused(package, shards, tmp_path, make_voice):
    (tmp_path / "short").mkdir()
    for seed in range(4):
        soundfile.write(tmp_path / "short" / f"{seed}.wav", make_voice(seed, 0.8), 16_000)
    build_dataset([tmp_path / "short"], tmp_path / "brief", BuildConfig(val_percent=0, test_percent=0))
    with pytest.raises(DataError, match="too few records of a second"):
        fit_package(package, str(tmp_path / "brief"), tmp_path / "fitted")
    build_dataset([tmp_path / "short"], tmp_path / "slow", BuildConfig(sample_rate=8000, val_percent=0, test_percent=0))
    with pytest.raises(DataError, match="8000 Hz"):
        fit_package(package, str(tmp_path / "slow"), tmp_path / "fitted")
    with pytest.raises(CapabilityError, match="up to 4096"):
        check_codebooks(QuantizerConfig(codebook_size=8192))
    assert not (tmp_path / "fitted").exists()
    assert not open_package(package).has_entropy
