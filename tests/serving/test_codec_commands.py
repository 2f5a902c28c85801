"""`nacre codec describe`, and the presets of configs/codec against what was published of them."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from codec.describe import describe_codec
from codec.errors import PackageError
from codec.weights import write_package
from nacre import cli
from serving.codec_commands import read_config

CONFIGS = Path(__file__).parents[2] / "configs"
PRESETS = sorted((CONFIGS / "codec").glob("*.yaml"))
# Encoder and decoder, in millions; the rates by kbps; the frame rate. 2210.13438, 2107.03312, 2306.05284.
PUBLISHED = {
    "encodec_24k": (14.85, 24.0, 75),
    "encodec_48k": (14.86, 24.0, 150),
    "encodec_32k": (56.9, 2.2, 50),
    "soundstream_24k": (8.4, 18.0, 75),
    "soundstream_24k_denoise": (8.4, 18.0, 75),
}


@pytest.fixture(scope="module")
def descriptions():
    configs = [read_config(CONFIGS / "codec" / f"{name}.yaml") for name in PUBLISHED]
    return {config.name: describe_codec(config) for config in configs}


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_have_the_published_size_and_rates(descriptions, name):
    description = descriptions[name]
    millions, kbps, frame_rate = PUBLISHED[name]
    parameters = (description.encoder.parameters + description.decoder.parameters) / 1e6
    assert parameters == pytest.approx(millions, rel=2e-3)
    assert description.bitrates_kbps[-1] == pytest.approx(kbps)
    assert description.frame_rate == frame_rate


def test_encodec_has_the_published_cost_and_latency(descriptions):
    description = descriptions["encodec_24k"]
    assert description.encoder.multiply_adds + description.decoder.multiply_adds == pytest.approx(2.98e9, rel=1e-3)
    assert description.latency_ms == pytest.approx(13.3, abs=0.05)


@pytest.mark.parametrize("path", [*PRESETS, *sorted((CONFIGS / "train").glob("*.yaml"))], ids=lambda path: path.stem)
def test_every_configuration_that_ships_is_complete(path):
    assert read_config(path).name.endswith(path.stem)


@pytest.mark.parametrize(
    "path", [path for path in PRESETS if path.stem.startswith("nacre_")], ids=lambda path: path.stem
)
def test_our_presets_say_of_themselves_what_is_so(path):
    config = read_config(path)
    description = describe_codec(config)
    rates_line, facts = path.read_text().splitlines()[:2]
    millions = (description.encoder.parameters + description.decoder.parameters) / 1e6
    gmac = (description.encoder.multiply_adds + description.decoder.multiply_adds) / 1e9
    latency = f"{description.latency_ms:.1f}".removesuffix(".0")
    assert facts == f"# {millions:.1f}M parameters, {gmac:.2f} GMAC a second, {latency} ms latency."
    low, high = description.bitrates_kbps[0], description.bitrates_kbps[-1]
    assert f"{float(f'{low:.2f}'):g} to {high:.3g} kbps" in rates_line
    assert config.channels == (2 if "stereo" in path.stem else 1)
    assert f"{config.sample_rate // 1000}k" in path.stem


def test_a_package_tells_how_its_codebooks_were_used(tmp_path, model):
    health = {"perplexity": [12.0, 1.2, 9.4, 1.6], "dead_share": [0.0, 0.9, 0, 0], "expiry_rate": [0.0, 0.01, 0, 0]}
    write_package(tmp_path / "package", model.codec, metrics={"codebook": health}, lineage={})
    printed = describe(tmp_path / "package")
    assert "12 1 9 2 of 16 entries, by stage" in printed
    assert "0.0% 90.0% 0.0% 0.0%" in printed
    assert printed.splitlines()[-1].split() == ["collapsed", "stages", "1"]
    assert "perplexity" not in describe(tmp_path / "package" / "codec.json")


def test_a_package_and_its_codec_json_describe_alike(package):
    printed = describe(package)
    assert printed.startswith("tiny: nacre")
    assert describe(package / "codec.json") == printed


def describe(path):
    return CliRunner().invoke(cli, ["codec", "describe", str(path)], catch_exceptions=False).output


def test_the_table_names_parts_rates_and_latency(tmp_path):
    shutil.copy(CONFIGS / "codec" / "soundstream_24k_denoise.yaml", tmp_path / "a.yml")
    printed = describe(tmp_path / "a.yml")
    for word in ("encoder", "quantizer", "decoder", "3,941,936", "75 Hz", "0.75 to 18 kbps", "13.3 ms", "yes"):
        assert word in printed


def test_segments_are_named_and_cost_what_they_overlap(descriptions):
    path = CONFIGS / "codec" / "encodec_48k.yaml"
    assert "segments            1 s at equal loudness, 10 ms of it shared with the next" in describe(path)
    assert "segments            none" in describe(path.with_stem("encodec_24k"))
    config = read_config(path)
    whole = describe_codec(replace(config, network=replace(config.network, segments=None)))
    cost = descriptions["encodec_48k"].encoder.multiply_adds
    assert cost == pytest.approx(whole.encoder.multiply_adds / 0.99, rel=1e-6)


@pytest.mark.parametrize("text", ["a: [", "- 1", "name: x", "model: {codec: 3}", "model: 3"])
def test_what_is_no_configuration_is_one_clear_error(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(PackageError, match=r"a\.yaml"):
        read_config(tmp_path / "a.yaml")


def test_a_file_that_is_not_there_is_named(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(PackageError, match=r"none\.yaml|codec\.json"):
            read_config(path)
