"""`nacre evaluate` as users type it, on tiny models."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from codec.audio import Audio, write_audio
from codec.weights import write_package
from data_pipelines.licences import FetchedPackage, write_record
from nacre import cli
from registry.registry import Registry
from tiny import tiny_codec
from training.evaluation.judging import judge_candidate

RATE = 8_000
POLICY = """
min_clips: 2
metrics:
  mel_distance: {better: lower, relative_margin: 0.05}
min_perplexity_share: null
max_dead_share: null
min_encode_speed_share: null
min_decode_speed_share: null
"""
KBPS = "4"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Four clips of two kinds, a model, one that is ruined, and a policy for so few clips."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "clips").mkdir()
    generator = torch.Generator().manual_seed(0)
    for name in ("music_a", "music_b", "sound_c", "sound_d"):
        samples = 0.1 * torch.randn(1, RATE, generator=generator).cumsum(-1).sin().numpy()
        write_audio(folder / "clips" / f"{name}.wav", Audio(samples=samples, sample_rate=RATE))
    good, ruined = tiny_codec(), tiny_codec()
    with torch.no_grad():
        ruined.quantizer.codebooks[:] = 0
    for name, codec in (("good", good), ("ruined", ruined)):
        write_package(folder / name, codec, metrics={}, lineage={"data_index_sha256": "abc"})
    (folder / "gate.yaml").write_text(POLICY)
    return folder


def run(*words):
    return CliRunner().invoke(cli, ["evaluate", *map(str, words)])


def gate(world, candidate, production, *more):
    data = ("--data", world / "clips", "--policy", world / "gate.yaml", "--bitrate-kbps", KBPS)
    return run("gate", world / candidate, "--against", world / production, *data, *more)


def test_models_side_by_side_give_a_report_and_cards(world, tmp_path):
    out = tmp_path / "report"
    source = FetchedPackage(
        name="some-voices",
        version="1",
        kind="speech",
        languages=("en",),
        licence="CC-BY-4.0",
        files=3,
        seconds=120.0,
        bytes=99,
    )
    (tmp_path / "pool" / "some-voices").mkdir(parents=True)
    write_record(tmp_path / "pool" / "some-voices", source)
    words = (world / "good", world / "ruined", "--compare", "--codec", "pcm", "--bitrate-kbps", KBPS)
    words += ("--sources", tmp_path / "pool", "--licence", "CC0-1.0")
    result = run(*words, "--data", world / "clips", "--out", out)
    assert result.exit_code == 0, result.output
    assert "12 scores of 4 clips" in result.output
    summary = json.loads((out / "summary.json").read_text())
    assert "NaN" not in (out / "summary.json").read_text()
    assert summary
    card = (out / "card-good.md").read_text()
    assert "music" in card
    assert "speech: not measured, so not claimed" in card
    assert "abc" in card
    assert "Licence of the weights: CC0-1.0\n" in card
    assert "| some-voices | speech | 2 | CC-BY-4.0 |" in card
    assert "<audio" in (out / "report.html").read_text()


def test_the_report_of_a_registered_model_is_kept_with_its_version(world, tmp_path):
    Registry.open().register(world / "good", "speech")
    result = run("speech:1", "--compare", "--bitrate-kbps", KBPS, "--data", world / "clips", "--out", tmp_path / "a b")
    assert result.exit_code == 0, result.output
    program, *words = shlex.split(result.output.splitlines()[-1].partition(": ")[2])
    assert (program, words[:2]) == ("nacre", ["registry", "attach"])
    attached = CliRunner().invoke(cli, words)
    assert attached.exit_code == 0, attached.output
    shown = CliRunner().invoke(cli, ["registry", "show", "speech:1"]).output
    assert re.search(r"evaluated on\tmusic: .* at 4\.\d+ kbps, on 2 clips, 2 s in all; sound: ", shown)
    card = Path(re.search(r"model card\t(.+)", shown)[1])
    assert card.read_text().startswith("# speech:1\n")
    for curve in re.findall(r"!\[.*\]\((.+)\)", card.read_text()):
        assert (card.parent / curve).is_file()
    assert json.loads((card.parent / "summary.json").read_text())["ours"] == ["speech:1"]


def test_the_gate_s_exit_status_says_what_it_found(world, tmp_path):
    lost = gate(world, "ruined", "good", "--out", tmp_path / "lost", "--json")
    assert lost.exit_code == 1, lost.output
    verdict = json.loads(lost.stdout)
    assert (verdict["outcome"], verdict["promote"]) == ("failed", False)
    won = gate(world, "good", "ruined", "--out", tmp_path / "won")
    assert won.exit_code == 0, won.output
    assert won.stdout.startswith("passed:")


def test_the_gate_s_report_is_kept_with_the_candidate_s_version(world, tmp_path):
    Registry.open().register(world / "good", "guarded")
    data = ("--data", world / "clips", "--policy", world / "gate.yaml", "--bitrate-kbps", KBPS)
    result = run("gate", "guarded:1", "--against", world / "ruined", *data, "--out", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert "guarded:1 against ruined: passed" in (tmp_path / "report" / "report.html").read_text()
    attached = CliRunner().invoke(cli, ["registry", "attach", "guarded:1", str(tmp_path / "report")])
    assert attached.exit_code == 0, attached.output
    shown = CliRunner().invoke(cli, ["registry", "show", "guarded:1"]).output
    card = Path(re.search(r"model card\t(.+)", shown)[1])
    assert json.loads((card.parent / "verdict.json").read_text())["outcome"] == "passed"


def test_too_few_clips_are_undecided(world, tmp_path):
    verdict = judge_candidate(
        str(world / "good"), str(world / "ruined"), world / "clips", bitrates_kbps=[4], out=tmp_path / "scores"
    ).verdict
    assert verdict.outcome == "undecided"
    assert not verdict.promote


def test_a_listening_test_is_written(world, tmp_path):
    out = tmp_path / "listening"
    clips = tmp_path / "clips"
    clips.mkdir()
    samples = 0.1 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0)).numpy()
    write_audio(clips / "music_a.wav", Audio(samples=samples, sample_rate=16_000))
    words = (world / "good", "--data", clips, "--bitrate-kbps", KBPS, "--codec", "pcm", "--mushra", out)
    result = run(*words)
    assert result.exit_code == 0, result.output
    systems = set(json.loads((out / "key.json").read_text())["trials"][0]["signals"].values())
    assert {"good 4", "pcm"} <= systems
    assert (out / "index.html").is_file()


def test_a_report_or_a_listening_test_but_one_of_them(world):
    result = run(world / "good", "--data", world / "clips")
    assert result.exit_code == 2
    assert "--out for a report, or --mushra" in result.output


@pytest.mark.parametrize("words", [[], ["models"], ["gate"], ["mushra-results"]])
def test_help_shows_an_example(words):
    text = run(*words, "--help").output
    assert "\\b" not in text
    assert text.partition("Example:\n")[2].strip().startswith("nacre evaluate ")
