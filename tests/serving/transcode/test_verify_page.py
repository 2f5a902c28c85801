"""The page of a verification: complete, safe to open whatever files are called, and bounded."""

import re
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from codec.audio import Audio, AudioLimits
from serving.transcode.verify.excerpt import EXCERPT_SECONDS, make_excerpt
from serving.transcode.verify.finding import Before, Finding, Floors
from serving.transcode.verify.histogram import histogram_svg
from serving.transcode.verify.page import page
from serving.transcode.verify.report import MAX_EXCERPT_BYTES, write_lines, write_page
from serving.transcode.verify.sides import Side
from serving.transcode.verify.spectrogram import HEIGHT, WIDTH
from serving.transcode.verify.summary import SHOWN, WORST, Summary

EVIL = '<script>alert("x")</script>&.wav'


def finding(name="a.wav", **changes):
    given = {"status": "ok", "seconds": 2.0, "measured_kbps": 6.0, "si_sdr_db": 3.0, "worst_start_s": 0.0}
    return Finding(source=name, output=f"{name}.nac", **given | changes)


def summary_of(findings):
    summary = Summary()
    for one in findings:
        summary.add(one)
    return summary


def noise(seconds, sample_rate=8_000, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    samples = (0.1 * rng.standard_normal((channels, round(seconds * sample_rate)))).astype(np.float32)
    return Audio(samples=samples, sample_rate=sample_rate)


def excerpt(seconds=1.0, **facts):
    return make_excerpt(noise(seconds, **facts), noise(seconds, seed=1, **facts), 3.0)


def test_a_stretch_of_a_long_file_takes_little_memory(model, tmp_path):
    """Of what lies before it, nothing is kept."""
    path, rate, seconds = tmp_path / "long.wav", 8_000, 600
    audio = noise(seconds, rate)
    soundfile.write(path, audio.samples.T, rate, subtype="FLOAT")
    side = Side(content=path, num_bytes=path.stat().st_size, coded=False, name="its source")
    tracemalloc.start()
    found = side.stretch(model, AudioLimits(), seconds - 1.5, 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    first = round((seconds - 1.5) * rate)
    np.testing.assert_array_equal(found.samples, audio.samples[:, first : first + rate])
    assert peak < audio.samples.nbytes / 5


def test_names_are_escaped_everywhere():
    bad = finding(EVIL, status="failed", reason=f"it's {EVIL}")
    text = page(summary_of([bad]), Floors(), [(bad, excerpt())], EVIL)
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 5


def test_a_page_without_anything_says_so():
    text = page(summary_of([]), Floors(visqol=3), [], "Nothing")
    assert "Everything passed." in text
    assert text.count("Nothing was measured.") == 2


def test_many_failures_are_cut_and_counted():
    failures = [finding(f"{number}.wav", status="failed", reason="x") for number in range(SHOWN + 7)]
    summary = summary_of(failures)
    text = page(summary, Floors(), [], "Many")
    assert text.count("<tr><td>") == SHOWN
    assert "And 7 more" in text
    assert summary.describe() == f"0 good, {SHOWN + 7} failed, 0 missing, 0 strays"


def test_the_worst_come_first_by_visqol_if_it_was_measured():
    values = [3.0, 1.5, 4.0, 1.5, 2.0] * 4
    by_ratio = [finding(f"{number:02d}", si_sdr_db=value) for number, value in enumerate(values)]
    worst = summary_of(by_ratio).worst()
    assert [one.si_sdr_db for one in worst] == sorted(values)[:WORST]
    assert [one.source for one in worst[:4]] == ["01", "03", "06", "08"]
    both = [*by_ratio, finding("heard", visqol=4.5, si_sdr_db=50)]
    assert [one.source for one in summary_of(both).worst()] == ["heard"]


def test_a_page_is_bounded(tmp_path):
    large = excerpt(EXCERPT_SECONDS, sample_rate=48_000, channels=2)
    findings = [finding(f"{number}.wav") for number in range(12)]
    write_page(tmp_path, summary_of(findings), Floors(), [(one, large) for one in findings], "Large")
    text = (tmp_path / "report.html").read_text()
    assert 0 < text.count("<audio") // 2 < 12
    assert text.count("No sound") == 12 - text.count("<audio") // 2
    assert len(text) < 1.4 * MAX_EXCERPT_BYTES + 100_000


def test_an_excerpt_is_of_the_worst_seconds(tmp_path):
    original = noise(20.0)
    samples = original.samples.copy()
    samples[:, 12 * 8_000 : 14 * 8_000] = 0
    made = make_excerpt(original, Audio(samples=samples, sample_rate=8_000), 100.0)
    assert made.seconds == EXCERPT_SECONDS
    assert 109 <= made.start_s <= 112
    for name, data in (("original.flac", made.original_flac), ("decoded.flac", made.decoded_flac)):
        (tmp_path / name).write_bytes(data)
        assert soundfile.info(tmp_path / name).duration == EXCERPT_SECONDS
    assert made.original_png != made.decoded_png
    assert made.original_png[16:24] == WIDTH.to_bytes(4, "big") + HEIGHT.to_bytes(4, "big")


@pytest.mark.parametrize(("channels", "rate"), [(1, 4_000), (2, 96_000), (6, 48_000)])
def test_an_excerpt_is_what_browsers_play(tmp_path, channels, rate):
    made = excerpt(0.2, channels=channels, sample_rate=rate)
    (tmp_path / "a.flac").write_bytes(made.decoded_flac)
    info = soundfile.info(tmp_path / "a.flac")
    assert info.channels <= 2
    assert info.samplerate == min(rate, 48_000)
    assert info.duration == pytest.approx(0.2)


def test_an_excerpt_of_a_few_samples():
    assert excerpt(0.001).seconds == 0.001


@given(
    st.lists(st.floats(-100, 100), min_size=1, max_size=50),
    st.none() | st.floats(-100, 100).map(lambda value: round(value, 2)),
)
def test_a_histogram_has_every_value_in_a_bar(values, floor):
    svg = histogram_svg(values, floor, "Files")
    bars = re.findall(r'<rect class="(bar|bar below)" x="([-.0-9]+)" .*?<title>.*?: (\d+)</title>', svg)
    assert sum(int(count) for _, _, count in bars) == len(values)
    assert all(40 <= float(x) <= 560 for _, x, _ in bars)
    below = sum(int(count) for style, _, count in bars if style == "bar below")
    clear = [value for value in values if floor is not None and value < floor - 0.01]
    assert below >= len(clear)


def test_lines_are_findings_and_the_other_way_around(tmp_path):
    findings = [
        finding(undefined={"visqol": "it is silent"}),
        finding("ü\n.wav", status="failed", below=("si_sdr_db",), repaired=Before(measured_kbps=3.0, si_sdr_db=1.0)),
        Finding(output="stray.nac", status="stray", reason="x"),
    ]
    write_lines(tmp_path, findings)
    lines = (tmp_path / "report.jsonl").read_text().splitlines(keepends=True)
    assert [Finding.from_line(line) for line in lines] == findings
