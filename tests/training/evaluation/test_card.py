"""The card's sentences, and that the registry takes whatever cards say."""

import math
from dataclasses import replace

import pytest

from codec.package import open_package
from codec.weights import write_package
from registry.card import find_card
from tiny import tiny_codec
from training.evaluation.card import write_card
from training.evaluation.scores import Clip, Score


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return write_package(tmp_path_factory.mktemp("card") / "package", tiny_codec(), metrics={}, lineage={}).directory


def score(kbps, metrics, name="a", kind="speech", language="en", num_bytes=None):
    clip = Clip(name=name, seconds=2.0, sample_rate=16_000, channels=1, kind=kind, language=language)
    return Score(
        clip=clip,
        codec="speech:1",
        bitrate_kbps=kbps,
        num_bytes=int(kbps * 250) if num_bytes is None else num_bytes,
        encode_realtime=10.0,
        decode_realtime=20.0,
        metrics=metrics,
    )


def uses_of(package, out, scores, name="speech:1"):
    scores = [replace(score, codec=name) for score in scores]
    write_card(out, name, package, scores)
    card = find_card(out, open_package(package).content_hash)
    for use in card.uses:
        assert f"- {use}\n" in (out / card.card).read_text()
    return card.uses


def test_each_kind_has_its_metric_at_the_ends_of_the_curve(package, tmp_path):
    scores = [
        score(kbps, {"pesq": kbps / 2 + shift, "stoi": 0.5}, name)
        for kbps in (2.0, 4.0, 6.0)
        for name, shift in (("a", 0.0), ("b", 0.5))
    ]
    scores.append(score(6.0, {"mel_distance": 1.5, "visqol_audio": 4.0}, "m", "music", ""))
    assert uses_of(package, tmp_path, scores) == (
        "music: ViSQOL audio 4.00 at 6.00 kbps, on 1 clip, 2 s in all",
        "speech (en): PESQ 1.25 at 2.00 kbps to 3.25 at 6.00 kbps, on 2 clips, 4 s in all",
    )


def test_a_metric_without_values_gives_way_to_the_next(package, tmp_path):
    scores = [score(kbps, {"pesq": math.nan, "mel_distance": 1.0}, num_bytes=0) for kbps in (2.0, 4.0)]
    (use,) = uses_of(package, tmp_path, scores)
    assert use.startswith("speech (en): Mel distance 1.00 at 0.00 kbps to 1.00 at 0.00 kbps, ")


def test_any_names_make_a_card_that_the_registry_takes(package, tmp_path):
    kinds = ["\x1b[2J", "x" * 400, *(f"kind {number}" for number in range(20))]
    scores = [score(2.0, {"pesq": 2.0}, kind, kind, "") for kind in kinds]
    scores += [score(2.0, {}, language, "", language) for language in map("a{}".format, "abcdefghijklm")]
    uses = uses_of(package, tmp_path, scores, "../my <model>:1")
    assert len(uses) == 16
    assert {path.parent for path in tmp_path.rglob("*")} == {tmp_path}


def test_without_clips_nothing_is_claimed(package, tmp_path):
    assert uses_of(package, tmp_path, []) == ()
    assert "it was not measured on any clip" in (tmp_path / "card-speech-1.md").read_text()
