"""The report of an evaluation, on scores made up for it."""

import base64
import csv
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from codec.audio import Audio
from codec.errors import DataError
from training.evaluation.metric_table import METRIC_TABLE, metric_info
from training.evaluation.report.svg import Line, Pair, Spot, curves_svg, scatter_svg
from training.evaluation.report.write import ReportFiles, write_report
from training.evaluation.scores import Clip, Score

HOSTILE = '<script>alert("x")</script> & \'$\\frac'
VOID = {"meta", "img"}


def make_clip(name: str) -> Clip:
    """Return a clip called 'kind/language/...', or one of English speech."""
    kind, language = name.split("/")[:2] if "/" in name else ("speech", "en")
    return Clip(name=name, seconds=2.0, sample_rate=16_000, channels=1, kind=kind, language=language)


def make_score(clip: str | Clip, codec: str, kbps: float | None, quality: float = 0.0, **other) -> Score:
    fields = {
        "clip": make_clip(clip) if isinstance(clip, str) else clip,
        "codec": codec,
        "bitrate_kbps": kbps,
        "num_bytes": int((kbps or 256) * 250),
        "encode_realtime": 10.0,
        "decode_realtime": 20.0,
        "metrics": {"pesq": 2 + quality, "mel_distance": 2 - quality, "bandwidth_khz": 8.0},
    }
    return Score(**fields | other)


def many_scores() -> list[Score]:
    """Eight clips, two curves of three points each of which ours is the better, and a lossless codec."""
    scores = []
    for index in range(8):
        clip = f"speech/{'en' if index % 2 else 'de'}/{index}.wav"
        for codec, gain in (("opus", 0.0), ("speech:3", 0.4)):
            for step, kbps in enumerate((3.0, 6.0, 12.0)):
                scores.append(make_score(clip, codec, kbps, gain + step * 0.3 + index * 0.01 * (1 + gain)))
        scores.append(make_score(clip, "flac", None, 2.6))
    return scores


def report(out: Path, scores: list[Score], **options) -> ReportFiles:
    return write_report(out, scores, **{"title": "Codecs", "notes": ["visqol was not measured"]} | options)


def sound(clip: str, point: str) -> tuple[Audio, Audio]:
    time = np.arange(32_000) / 16_000
    wave = np.sin(2 * np.pi * 440 * time)[None].astype(np.float32)
    return Audio(samples=wave, sample_rate=16_000), Audio(samples=wave * 0.5, sample_rate=16_000)


class Page(HTMLParser):
    """Collects tags, and checks that they close in order."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def strict_json(path: Path) -> dict:
    def refuse(constant: str):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_writes_all_files(tmp_path: Path):
    files = report(tmp_path, many_scores())

    names = {"report.html", "scores.csv", "summary.csv", "bd_rates.csv", "summary.json"}
    curves = {f"curves_{metric}.png" for metric in ("pesq", "mel_distance", "bandwidth_khz")}
    assert {path.name for path in tmp_path.iterdir()} == names | curves
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in files.curves.values())
    assert len(rows_of(files.scores_csv)) == 8 * 7
    page = Page(files.html.read_text())
    assert len(page.all("h1")) == 1
    assert all(image["alt"] for image in page.all("img"))
    assert all(svg["aria-label"] for svg in page.all("svg"))
    assert all(head["scope"] for head in page.all("th"))


def test_the_page_needs_no_other_host(tmp_path: Path):
    text = report(tmp_path, many_scores(), audio=sound).html.read_text()

    assert not re.search(r"(https?:)?//[a-z0-9]", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    links = [a for _, attributes in Page(text).tags for name, a in attributes.items() if name in ("src", "href")]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)


def test_the_same_scores_give_the_same_bytes(tmp_path: Path):
    scores = many_scores()
    for folder, given in (("one", scores), ("two", scores[::-1])):
        report(tmp_path / folder, given, audio=sound)

    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_numbers_of_an_operating_point(tmp_path: Path):
    clips = [Clip(name=name, seconds=seconds, sample_rate=16_000, channels=1) for name, seconds in (("a", 1), ("b", 3))]
    scores = [
        make_score(clips[0], "opus", 8, num_bytes=1000, encode_realtime=1.0, metrics={"pesq": 2.0}),
        make_score(clips[1], "opus", 8, num_bytes=2000, encode_realtime=3.0, metrics={"pesq": 4.0}),
    ]
    (point,) = strict_json(report(tmp_path, scores).summary_json)["points"]

    assert point["n"] == 2
    assert point["measured_kbps"] == pytest.approx(3000 * 8 / 4 / 1000)
    assert point["encode_realtime"] == pytest.approx(4 / 2)
    assert point["metrics"]["pesq"]["mean"] == pytest.approx(3.0)
    assert 2 <= point["metrics"]["pesq"]["low"] < 3 < point["metrics"]["pesq"]["high"] <= 4
    assert (point["kind"], point["languages"]) == ("unknown", {})


def test_paired_tests_and_savings(tmp_path: Path):
    files = report(tmp_path, many_scores())
    summary = strict_json(files.summary_json)

    tests = [t for t in summary["paired_tests"] if t["metric"] == "pesq" and t["first"] == "speech:3 6"]
    assert [test["second"] for test in tests] == ["opus 6"]
    assert tests[0]["difference"]["mean"] == pytest.approx(0.4 + 0.01 * 0.4 * 3.5)
    assert tests[0]["p"] < tests[0]["p_holm"]
    assert tests[0]["significant"]
    assert not any(test["metric"] == "bandwidth_khz" for test in summary["paired_tests"])
    savings = {saving["metric"]: saving for saving in summary["bd_rates"]}
    assert savings.keys() == {"pesq", "mel_distance"}
    assert all(saving["low"] < saving["percent"] < saving["high"] < 0 for saving in savings.values())
    rows = rows_of(files.bd_rates_csv)
    assert [(row["metric"], float(row["low"]), float(row["high"])) for row in rows] == [
        (name, saving["low"], saving["high"]) for name, saving in savings.items()
    ]
    pesq = savings["pesq"]
    ends = f"{pesq['low']:.0f} to {pesq['high']:.0f} %".replace("-", "\N{MINUS SIGN}")
    assert f"<small>{ends}</small>" in files.html.read_text()


def test_kinds_and_languages_are_told_apart(tmp_path: Path):
    scores = [make_score("music//x", "opus", 6.0, 1.0, metrics={"mel_distance": 3.0}), *many_scores()]
    files = report(tmp_path, scores)
    music, speech = (p for p in strict_json(files.summary_json)["points"] if p["point"] == "opus 6")

    assert (music["kind"], speech["kind"]) == ("music", "speech")
    # PESQ was never asked of music, so it isn't undefined there.
    assert music["metrics"] == {"mel_distance": {"mean": 3.0, "low": None, "high": None, "n": 1, "undefined": 0}}
    assert speech["languages"]["de"]["n"] == speech["languages"]["en"]["n"] == 4
    assert speech["metrics"]["pesq"]["undefined"] == 0
    rows = [(row["kind"], row["language"], row["clips"]) for row in rows_of(files.summary_csv)]
    assert {("music", "", "1"), ("speech", "", "8"), ("speech", "de", "4")} <= set(rows)


def test_there_is_no_number_over_several_kinds(tmp_path: Path):
    """Ours is better on speech as much as it is worse on music: on the whole it would seem level."""
    scores = [
        make_score(
            f"{kind}//{index}", codec, kbps, metrics={"mel_distance": base + gain * (codec != "opus") - kbps / 10}
        )
        for kind, base, gain in (("speech", 2.0, -0.5), ("music", 6.0, 0.5))
        for index in range(6)
        for codec in ("opus", "speech:3")
        for kbps in (3.0, 6.0)
    ]
    files = report(tmp_path, scores)
    summary = strict_json(files.summary_json)

    means = {(p["point"], p["kind"]): p["metrics"]["mel_distance"]["mean"] for p in summary["points"]}
    assert means["opus 6", "speech"] == pytest.approx(1.4)
    assert means["opus 6", "music"] == pytest.approx(5.4)
    assert len(means) == 8
    tests = {(t["first"], t["second"], t["kind"]): t["difference"] for t in summary["paired_tests"]}
    for kind, difference in (("speech", -0.5), ("music", 0.5)):
        assert tests["speech:3 6", "opus 6", kind]["mean"] == pytest.approx(difference)
        assert tests["speech:3 6", "opus 6", kind]["n"] == 6
    assert {saving["kind"] for saving in summary["bd_rates"]} == {"speech", "music"}
    text = files.html.read_text()
    assert 'aria-label="Means of all clips of speech by operating point"' in text
    assert 'aria-label="Means of all clips of music by operating point"' in text
    assert "3.40" not in text  # the mean of Opus at 6 kbps over both


def test_a_codec_without_bytes_for_a_kind_is_left_out_of_its_curves(tmp_path: Path):
    scores = [make_score(f"music//{index}", codec, 6.0) for index in range(3) for codec in ("opus", "speech:3")]
    scores += [make_score("music//9", "still", 6.0, num_bytes=0), make_score("a", "still", 6.0), *many_scores()]
    files = report(tmp_path, scores)

    assert files.curves["pesq"].read_bytes().startswith(b"\x89PNG")
    text = files.html.read_text()
    assert "took no bytes: still 6 (music)." in text
    assert "still 6: 2.00 at 6.00 kbps" in text
    assert " at 0.00 kbps" not in text


FORMULAS = ("=1+2", "+1", "-1", "@sum", "\tx", "\rx")


def test_no_text_in_a_csv_is_a_formula(tmp_path: Path):
    clips = [Clip(name=name, seconds=2.0, sample_rate=16_000, channels=1, kind=name) for name in (*FORMULAS, "a=b")]
    scores = [make_score(clip, "-codec", 6.0, metrics={"si_sdr_db": -3.5}) for clip in clips]
    files = report(tmp_path, scores)

    rows = rows_of(files.scores_csv)
    assert {row["clip"] for row in rows} == {*(f"'{name}" for name in FORMULAS), "a=b"}
    assert {(row["codec"], float(row["si_sdr_db"])) for row in rows} == {("'-codec", -3.5)}
    assert {row["kind"] for row in rows_of(files.summary_csv)} == {*(f"'{name}" for name in FORMULAS), "a=b"}


def test_metrics_without_a_value(tmp_path: Path):
    reason = "it finds no <speech>"
    missing = {"metrics": {"pesq": math.nan, "mel_distance": 1.0}, "undefined": {"pesq": reason}}
    scores = [make_score("a", "opus", 6, 0.1), make_score("b", "opus", 6, **missing)]
    scores += [make_score("a", "mute", 6, **missing), make_score("b", "mute", 6, metrics={"pesq": math.inf})]
    files = report(tmp_path, scores)
    points = {point["codec"]: point for point in strict_json(files.summary_json)["points"]}

    assert points["opus"]["metrics"]["pesq"]["undefined"] == 1
    assert points["mute"]["metrics"]["pesq"] == {"mean": None, "low": None, "high": None, "n": 0, "undefined": 2}
    row = next(row for row in rows_of(files.scores_csv) if row["codec"] == "mute" and row["clip"] == "a")
    assert (row["pesq"], row["undefined"]) == ("", f"pesq: {reason}")
    text = files.html.read_text()
    assert "it finds no &lt;speech&gt;" in text
    assert not re.search(r">[^<]*\bnan\b", text.split("<script>")[0])


@pytest.mark.parametrize(
    "scores",
    [
        [make_score("a", "opus", 6)],
        [make_score("a", "flac", None)],
        [make_score(name, "speech:3", kbps, kbps / 10) for name in "ab" for kbps in (3, 6)],
        [make_score("a", "opus", 6), make_score("b", "speech:3", 6)],
        [make_score("a", "opus", 6, metrics={}), make_score("a", "speech:3", 6, metrics={})],
        [make_score("a", "opus", 6, encode_realtime=math.inf, num_bytes=0)],
    ],
    ids=["one clip", "lossless only", "no anchor", "no clip in common", "no metrics", "nothing measured"],
)
def test_little_to_report(tmp_path: Path, scores: list[Score]):
    files = report(tmp_path, scores, audio=sound, notes=[])

    Page(files.html.read_text())
    assert len(strict_json(files.summary_json)["points"]) == len({score.point for score in scores})


def test_lossless_codecs_stay_out_of_curves_but_not_of_tables(tmp_path: Path):
    files = report(tmp_path, many_scores())
    text = files.html.read_text()

    assert "no nominal bitrate: flac." in text
    assert "flac" not in "".join(re.findall(r"<svg.*?</svg>", text))
    flac = [row for row in rows_of(files.summary_csv) if row["codec"] == "flac"]
    assert flac[0]["bitrate_kbps"] == ""


def test_names_are_escaped(tmp_path: Path):
    language, kind = "<i>", "<b>kind"
    clip = Clip(name=HOSTILE, seconds=2.0, sample_rate=16_000, channels=1, kind=kind, language=language)
    scores = [
        make_score(clip, codec, kbps, kbps / 10, metrics={"pesq": kbps / 4, HOSTILE: 1.0}, undefined={"x": "<u>"})
        for codec in ("opus", f"{HOSTILE}:1")
        for kbps in (3.0, 6.0)
    ]
    files = report(tmp_path, scores, audio=sound, title=HOSTILE, notes=[HOSTILE])

    page = Page(files.html.read_text())
    assert len(page.all("script")) == 1
    assert not {tag for tag, _ in page.tags} & {"b", "i", "u"}
    assert all(path.parent == tmp_path for path in files.curves.values())
    assert {row["clip"] for row in rows_of(files.scores_csv)} == {HOSTILE}
    assert strict_json(files.summary_json)["title"] == HOSTILE


def test_names_that_are_no_utf8_or_no_latin(tmp_path: Path):
    clip = Clip(name="\udcff.wav", seconds=2.0, sample_rate=16_000, channels=1, kind="音楽")
    files = report(tmp_path, [make_score(clip, "符号:1", 6), make_score(clip, "_opus", 6)])

    assert "符号:1" in files.html.read_text(encoding="utf-8")
    assert strict_json(files.summary_json)


def test_the_worst_clips_can_be_heard_and_seen(tmp_path: Path):
    asked = []

    def source(clip: str, point: str) -> tuple[Audio, Audio] | None:
        asked.append((clip, point))
        return None if point == "speech:3 12" else sound(clip, point)

    page = Page(report(tmp_path, many_scores(), audio=source).html.read_text())

    assert {point for _, point in asked} == {"speech:3 3", "speech:3 6", "speech:3 12"}
    # Three clips, each with its original and two reconstructions.
    assert len(page.all("audio")) == len(page.all("img")) == 9
    flac = base64.b64decode(page.all("audio")[0]["src"].removeprefix("data:audio/flac;base64,"))
    assert flac.startswith(b"fLaC")


def test_sound_stops_at_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("training.evaluation.report.worst.BUDGET_BYTES", 1)

    assert not Page(report(tmp_path, many_scores(), audio=sound).html.read_text()).all("audio")


def test_ours_can_be_named(tmp_path: Path):
    tests = strict_json(report(tmp_path, many_scores(), anchor="speech:3", ours=["opus"]).summary_json)["paired_tests"]

    assert {(test["first"][:4], test["second"][:8]) for test in tests} == {("opus", "speech:3")}


def test_refuses_nothing_and_clips_scored_twice(tmp_path: Path):
    with pytest.raises(DataError, match="no scores"):
        report(tmp_path, [])
    with pytest.raises(DataError, match="scored twice"):
        report(tmp_path, [make_score("a", "opus", 6), make_score("a", "opus", 6)])


def test_metrics_are_explained():
    assert all(name == info.name and info.bad_at and info.source for name, info in METRIC_TABLE.items())
    assert METRIC_TABLE["pesq"].range == "1.04 to 4.64"
    assert metric_info("si_sdr_db").range == "unbounded"
    assert metric_info("new").better == "none"


def test_drawings_of_equal_values():
    spot = Spot(kbps=6, mean=2, low=math.nan, high=math.nan, text="<one>")

    assert "&lt;one&gt;" in curves_svg([Line(codec="a", style="s1", number=0, spots=(spot,))], "PESQ")
    assert "Clips by ours over opus" in scatter_svg([Pair(x=0, y=0, text="a")], "s1", "opus", "ours")
