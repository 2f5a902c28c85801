import dataclasses
import functools
import http.server
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codec.audio import Audio
from codec.errors import AudioError, DataError, LimitError
from training.evaluation.listening.analysis import analyze, draw_ratings, screen
from training.evaluation.listening.mushra import (
    LOW_ANCHOR,
    MID_ANCHOR,
    REFERENCE,
    Trial,
    low_pass,
    write_listening_test,
)
from training.evaluation.listening.results import read_key, read_listener, read_listeners

RATE = 32_000
SYSTEMS = ("Nacre-6-kbps", "Rival & <Sons>")


def noise(seed, seconds=1.0, rate=RATE, channels=1, level=0.1):
    samples = level * np.random.default_rng(seed).standard_normal((channels, int(seconds * rate)))
    return Audio(samples=samples.astype(np.float32), sample_rate=rate)


def trial(name="Glockenspiel", seed=0, systems=SYSTEMS, **settings):
    coded = {system: noise(seed + n, **settings) for n, system in enumerate(systems, start=1)}
    return Trial(name=name, reference=noise(seed, **settings), reconstructions=coded)


@pytest.fixture
def folder(tmp_path):
    out = tmp_path / "test"
    write_listening_test(out, [trial(), trial("Castanets", seed=10)], seed=7)
    return out


def results(key, listener="Ada", rate=None, **changes):
    """Return results as the page makes them; `rate` takes the name of a trial and a system."""
    usual = {REFERENCE: 100, LOW_ANCHOR: 20, MID_ANCHOR: 40, SYSTEMS[0]: 80, SYSTEMS[1]: 60}
    rate = rate or (lambda trial, system: usual[system])
    trials = [
        {
            "trial": each.id,
            "seconds": 30,
            "ratings": [{"id": id, "rating": rate(each.name, system)} for id, system in each.signals.items()],
        }
        for each in key.trials
    ]
    return {
        "format": "nacre-mushra-results",
        "version": 1,
        "test": key.test,
        "listener": listener,
        "started": "2026-01-01T10:00:00.000Z",
        "finished": "2026-01-01T10:20:00.000Z",
        "trials": trials,
    } | changes


def write(path, data):
    path.write_text(json.dumps(data))
    return path


def listeners_who(tmp_path, key, *rates):
    paths = [
        write(tmp_path / f"{n}.json", results(key, f"listener {n}", rate)) for n, rate in enumerate(rates, start=1)
    ]
    return read_listeners(paths, key)


def usual_but(**changed):
    """Rate as usual, but hidden reference or anchors otherwise, in one trial or in all."""
    ratings = {"reference": 100, "low": 20, "mid": 40} | changed
    names = {REFERENCE: "reference", LOW_ANCHOR: "low", MID_ANCHOR: "mid"}
    return lambda trial, system: ratings[names[system]] if system in names else {SYSTEMS[0]: 80, SYSTEMS[1]: 60}[system]


# The folder.


def test_the_folder_holds_a_page_a_key_and_every_signal_in_16_bits(folder):
    assert {path.name for path in folder.iterdir()} == {"index.html", "key.json", "audio"}
    key = read_key(folder / "key.json")
    assert [each.name for each in key.trials] == ["Glockenspiel", "Castanets"]
    expected = set()
    for each in key.trials:
        assert set(each.signals.values()) == {REFERENCE, LOW_ANCHOR, MID_ANCHOR, *SYSTEMS}
        expected |= {each.reference, *each.signals}
    assert len(expected) == 12
    audio = folder / "audio"
    assert {path.name for path in audio.iterdir()} == {name + end for name in expected for end in (".wav", ".js")}
    assert {soundfile.info(path).subtype for path in audio.glob("*.wav")} == {"PCM_16"}


def test_signals_keep_their_level_and_samples(folder):
    key = read_key(folder / "key.json")
    of_first = {system: id for id, system in key.trials[0].signals.items()}
    for id, audio in (
        (of_first[REFERENCE], noise(0)),
        (key.trials[0].reference, noise(0)),
        (of_first[SYSTEMS[1]], noise(2)),
    ):
        samples, rate = soundfile.read(folder / "audio" / f"{id}.wav", dtype="float32", always_2d=True)
        assert rate == RATE
        np.testing.assert_allclose(samples.T, audio.samples, atol=1 / 32768)


def test_what_would_clip_is_lowered_along_with_all_of_its_trial(tmp_path):
    loud = dataclasses.replace(trial(), reconstructions={"loud": noise(3, level=0.5), "soft": noise(4)})
    write_listening_test(tmp_path / "test", [loud], seed=1)
    key = read_key(tmp_path / "test" / "key.json").trials[0]
    peak = np.abs(noise(3, level=0.5).samples).max()
    assert peak > 1 and key.gain_db == pytest.approx(-20 * np.log10(peak), abs=0.011)
    id = next(id for id, system in key.signals.items() if system == "soft")
    samples, _ = soundfile.read(tmp_path / "test" / "audio" / f"{id}.wav", dtype="float32", always_2d=True)
    np.testing.assert_allclose(samples.T, noise(4).samples * 10 ** (key.gain_db / 20), atol=1 / 32768)


def test_only_the_key_names_systems_and_trials(folder):
    names = [*SYSTEMS, "Rival", "Glockenspiel", "Castanets", LOW_ANCHOR, MID_ANCHOR]
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "key.json":
            text = str(path.relative_to(folder)).encode() + path.read_bytes()
            assert not [name for name in names if name.encode() in text], path.name
    key = json.loads((folder / "key.json").read_text())
    assert set(key["trials"][0]["signals"].values()) >= set(SYSTEMS)
    # The order of ids says nothing either.
    assert all(list(each["signals"]) == sorted(each["signals"]) for each in key["trials"])


def test_the_page_needs_nothing_from_elsewhere(folder):
    page = (folder / "index.html").read_text()
    assert "{{" not in page
    assert "://" not in page.replace("file://", "")
    assert "<script src" not in page and 'rel="stylesheet"' not in page


def test_names_of_files_come_from_the_seed(tmp_path):
    for name, seed in (("first", 1), ("same", 1), ("other", 2)):
        write_listening_test(tmp_path / name, [trial()], seed=seed)
    files = {out.name: {path.name: path.read_bytes() for path in out.rglob("*.*")} for out in tmp_path.iterdir()}
    assert files["first"] == files["same"]
    assert not {name for name in files["first"] if name.endswith(".wav")} & files["other"].keys()


def test_an_interrupted_writing_can_be_repeated(folder):
    (folder / "index.html").unlink()
    write_listening_test(folder, [trial(), trial("Castanets", seed=10)], seed=7)
    assert (folder / "index.html").is_file()


def test_a_folder_with_something_else_is_refused(tmp_path, folder):
    with pytest.raises(DataError, match="already holds something else"):
        write_listening_test(folder, [trial(seed=99)], seed=7)
    (folder / "notes.txt").touch()
    with pytest.raises(DataError, match="already holds something else"):
        write_listening_test(folder, [trial(), trial("Castanets", seed=10)], seed=7)
    with pytest.raises(DataError, match="is no folder"):
        write_listening_test(folder / "notes.txt", [trial()], seed=7)


@pytest.mark.parametrize(
    ("trials", "error", "message"),
    [
        ([], DataError, "at least one trial"),
        ([trial(), trial()], DataError, "two trials are named 'Glockenspiel'"),
        ([trial(systems=())], DataError, "has no system to rate"),
        ([trial(systems=[f"s{n}" for n in range(10)])], LimitError, "12 signals"),
        ([trial(systems=[REFERENCE])], DataError, "which the test adds itself"),
        ([trial(systems=["a\nb"])], DataError, "printable"),
        ([trial(seconds=30.1, rate=16_000)], LimitError, "at most 30 s"),
        ([trial(seconds=0.1)], AudioError, "at least 0.5 s"),
        ([trial(rate=8_000)], AudioError, "at least 16000 Hz"),
        ([trial(channels=3)], AudioError, "1 or 2"),
        ([dataclasses.replace(trial(), reconstructions={"s": noise(1, seconds=1.1)})], AudioError, "align them"),
        ([dataclasses.replace(trial(), reconstructions={"s": noise(1, level=np.inf)})], AudioError, "not finite"),
    ],
)
def test_what_can_be_no_test_is_refused_in_a_sentence(tmp_path, trials, error, message):
    with pytest.raises(error, match=message) as caught:
        write_listening_test(tmp_path / "test", trials, seed=0)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "test").exists()


# The anchors.


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
@pytest.mark.parametrize(("system", "pass_hz", "down_hz"), [(LOW_ANCHOR, 3_500, 4_200), (MID_ANCHOR, 7_000, 8_000)])
def test_anchors_pass_what_they_should_and_nothing_above(tmp_path, system, pass_hz, down_hz, rate):
    write_listening_test(tmp_path / "test", [trial(rate=rate, seconds=2.0)], seed=0)
    ids = {name: id for id, name in read_key(tmp_path / "test" / "key.json").trials[0].signals.items()}
    spectra = {}
    for name in (REFERENCE, system):
        samples, _ = soundfile.read(tmp_path / "test" / "audio" / f"{ids[name]}.wav")
        spectra[name] = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / rate)

    def gain_db(inside):
        return 10 * np.log10(spectra[system][inside].sum() / spectra[REFERENCE][inside].sum())

    assert gain_db(hz < pass_hz) == pytest.approx(0, abs=0.1)
    if rate > 2 * down_hz:
        assert gain_db(hz > down_hz) < -40


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("edges", [(3_500, 4_000), (7_000, 8_000)])
def test_anchors_are_aligned_to_the_sample(rate, edges):
    samples = np.zeros((2, rate), np.float32)
    samples[:, 5_000] = 1
    impulse = low_pass(Audio(samples=samples, sample_rate=rate), *edges).samples
    assert impulse.shape == samples.shape
    assert (impulse.argmax(axis=1) == 5_000).all()
    np.testing.assert_allclose(impulse[:, 4_000:5_000], impulse[:, 6_000:5_000:-1], atol=1e-7)


# The analysis.


def test_ratings_are_summed_up_by_system(tmp_path, folder):
    key = read_key(folder / "key.json")
    rng = np.random.default_rng(0)
    centre = {REFERENCE: 97, LOW_ANCHOR: 20, MID_ANCHOR: 40, SYSTEMS[0]: 80, SYSTEMS[1]: 60}
    listeners = listeners_who(tmp_path, key, *[lambda _, system: centre[system] + int(rng.integers(-3, 4))] * 8)
    analysis = analyze(listeners, key, seed=3)
    assert (analysis.num_listeners, analysis.num_trials, analysis.excluded) == (8, 2, ())
    assert [one.system for one in analysis.systems] == [REFERENCE, *SYSTEMS, MID_ANCHOR, LOW_ANCHOR]
    for one in analysis.systems:
        assert (one.num_listeners, one.num_ratings) == (8, 16)
        assert centre[one.system] - 3 <= one.minimum <= one.lower_quartile <= one.median <= one.upper_quartile
        assert one.low < one.mean < one.high
        assert one.mean == pytest.approx(centre[one.system], abs=3)
    pairs = {(one.first, one.second): one for one in analysis.comparisons}
    assert pairs.keys() == {(REFERENCE, SYSTEMS[0]), (REFERENCE, SYSTEMS[1]), SYSTEMS}
    between = pairs[SYSTEMS]
    assert between.low < between.difference < between.high and between.difference == pytest.approx(20, abs=3)
    assert between.p_value == pytest.approx(2 / 2**8) and between.adjusted_p == pytest.approx(3 * between.p_value)
    assert analysis == analyze(listeners, key, seed=3)


def test_a_single_listener_has_means_without_intervals(tmp_path, folder):
    key = read_key(folder / "key.json")
    analysis = analyze(listeners_who(tmp_path, key, usual_but()), key)
    data = json.loads(analysis.to_json())
    assert data["systems"][1]["mean"] == 80 and data["systems"][1]["low"] is None
    assert data["comparisons"][0]["p_value"] == 1


def test_the_picture_shows_every_system(tmp_path, folder):
    key = read_key(folder / "key.json")
    for name, count in (("one.png", 1), ("five.png", 5)):
        draw_ratings(tmp_path / name, analyze(listeners_who(tmp_path, key, *[usual_but()] * count), key))
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_listeners_who_miss_the_reference_or_an_anchor_are_excluded(tmp_path, folder):
    key = read_key(folder / "key.json")
    good = [usual_but()] * 5
    listeners = listeners_who(tmp_path, key, *good, usual_but(reference=89), usual_but(mid=91))
    kept, excluded = screen(listeners)
    assert [one.name for one in kept] == [f"listener {n}" for n in range(1, 6)]
    assert [one.listener for one in excluded] == ["listener 6", "listener 7"]
    assert "hidden reference below 90 in 2 of 2" in excluded[0].reason
    assert "7 kHz above 90 in 2 of 2" in excluded[1].reason
    assert analyze(listeners, key).num_listeners == 5
    assert analyze(listeners, key, post_screening=False).num_listeners == 7
    assert screen(listeners_who(tmp_path, key, usual_but(reference=90, mid=90)))[1] == ()


def test_an_anchor_that_many_take_for_the_reference_counts_against_nobody(tmp_path, folder):
    key = read_key(folder / "key.json")
    _, excluded = screen(listeners_who(tmp_path, key, usual_but(), usual_but(), usual_but(mid=95)))
    assert excluded == ()


def test_nobody_left_is_an_error(tmp_path, folder):
    key = read_key(folder / "key.json")
    with pytest.raises(DataError, match="excludes all 1 listeners"):
        analyze(listeners_who(tmp_path, key, usual_but(reference=10)), key)


def spoil(data, *where, value):
    """Return the data with what is at `where` replaced."""
    copy = json.loads(json.dumps(data))
    inner = copy
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = value
    return copy


@pytest.mark.parametrize(
    ("where", "value", "message"),
    [
        (("format",), "something", "its format is not"),
        (("version",), 2, "its version is not 1"),
        (("more",), 1, "must be an object of"),
        (("test",), "0123456789abcdef", "but the key is of"),
        (("listener",), "", "1 to 64 printable"),
        (("listener",), "x" * 65, "1 to 64 printable"),
        (("listener",), 5, "1 to 64 printable"),
        (("started",), None, "'started' must be"),
        (("trials",), {}, "a list of 1 to"),
        (("trials",), [[]] * 101, "a list of 1 to 100"),
        (("trials", 0), "trial", "a trial must be an object"),
        (("trials", 0, "trial"), "unknown", "is not in the key"),
        (("trials", 0, "seconds"), -1, "'seconds' must be a number"),
        (("trials", 0, "ratings"), [], "a list of 1 to"),
        (("trials", 0, "ratings"), [{"id": "a", "rating": 1}] * 2, "is there twice"),
        (("trials", 0, "ratings", 0, "id"), "unknown", "exactly the signals"),
        (("trials", 0, "ratings", 0, "rating"), 101, "from 0 to 100"),
        (("trials", 0, "ratings", 0, "rating"), True, "from 0 to 100"),
        (("trials", 0, "ratings", 0, "rating"), "90", "from 0 to 100"),
        (("trials", 0, "ratings", 0, "rating"), None, "from 0 to 100"),
        (("trials", 0, "ratings", 0, "rating"), float("nan"), "NaN is no number"),
        (("trials", 0, "ratings", 0, "rating"), 10**400, "from 0 to 100"),
    ],
)
def test_malformed_results_are_refused_in_a_line(tmp_path, folder, where, value, message):
    key = read_key(folder / "key.json")
    path = write(tmp_path / "results.json", spoil(results(key), *where, value=value))
    with pytest.raises(DataError, match=message) as caught:
        read_listener(path, key)
    assert "results.json" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff", "no JSON"),
        (b'{"a": 1, "a": 2}', "'a' is there twice"),
        (b"[]", "its format is not"),
        (b" " * ((1 << 20) + 1), "larger than the 1024 KiB"),
    ],
)
def test_a_file_that_is_no_results_is_refused(tmp_path, folder, text, message):
    key = read_key(folder / "key.json")
    path = tmp_path / "results.json"
    path.write_bytes(text)
    with pytest.raises(DataError, match=message):
        read_listener(path, key)


def test_results_must_be_whole_and_of_different_listeners(tmp_path, folder):
    key = read_key(folder / "key.json")
    data = results(key)
    half = write(tmp_path / "half.json", data | {"trials": data["trials"][:1]})
    with pytest.raises(DataError, match="1 of 2 trials are missing"):
        read_listener(half, key)
    twice = write(tmp_path / "twice.json", data | {"trials": data["trials"][:1] * 2})
    with pytest.raises(DataError, match="is there twice"):
        read_listener(twice, key)
    first, second = write(tmp_path / "1.json", data), write(tmp_path / "2.json", data | {"listener": "ADA"})
    with pytest.raises(DataError, match="are both of listener 'ADA'"):
        read_listeners([first, second], key)
    with pytest.raises(DataError, match="0 files of results"):
        read_listeners([], key)
    with pytest.raises(DataError, match="can't be read"):
        read_listener(tmp_path / "missing.json", key)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("format",), "other"),
        (("seed",), "7"),
        (("trials",), []),
        (("trials", 1, "name"), "Glockenspiel"),
        (("trials", 0, "signals"), {"a": REFERENCE}),
        (("trials", 0, "signals"), dict.fromkeys("abcde", REFERENCE)),
        (("trials", 0, "signals"), {"a": REFERENCE, "b": LOW_ANCHOR, "c": "x", "d": "y"}),
        (("trials", 0, "gain_db"), 3),
    ],
)
def test_a_malformed_key_is_refused(tmp_path, folder, where, value):
    data = json.loads((folder / "key.json").read_text())
    with pytest.raises(DataError, match="is no key of a listening test"):
        read_key(write(tmp_path / "key.json", spoil(data, *where, value=value)))


# The page, in a browser.


@pytest.fixture
def browser():
    import shutil

    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A page that fails the test for any error of its own."""
    errors = []
    page = browser.new_page(viewport={"width": 1100, "height": 820})
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield page
    assert not errors


def begin(page, url, listener="Ada L."):
    page.goto(url)
    page.get_by_label("Your name").fill(listener)
    page.get_by_role("button", name="Begin").click()
    page.get_by_role("button", name="Play").wait_for()


def ids_shown(page):
    """Return the ids of the trial on screen, in its order, as the page keeps them."""
    kept = page.evaluate("JSON.parse(localStorage.getItem(localStorage.key(0)))")
    return [each["id"] for each in kept["trials"][kept["at"]]["conditions"]]


@pytest.mark.needs_tool("chromium")
def test_a_listener_rates_by_keyboard_and_mouse_and_sends_results(tmp_path, folder, page):
    key = read_key(folder / "key.json")
    begin(page, (folder / "index.html").as_uri())
    onward = page.locator("#next")
    expected = {}
    for number in (1, 2):
        page.get_by_role("heading", name=f"Trial {number} of 2").wait_for()
        page.locator("#work").wait_for()
        ids = ids_shown(page)
        assert onward.is_disabled()
        page.keyboard.press("Space")
        page.get_by_role("button", name="Stop").wait_for()
        page.wait_for_function("parseFloat(document.querySelector('#clock').textContent) > 0.1")
        for place in range(1, 5):
            page.keyboard.press(str(place))
            for step in ["PageUp"] * place + ["ArrowUp"] + ["ArrowDown"] * 2:
                page.keyboard.press(step)
            expected[ids[place - 1]] = 50 + 10 * place - 1
        assert onward.is_disabled()
        # The last by mouse: its button, then the scale, of which a click at the top is the best.
        page.get_by_role("button", name="Listen to version 5").click()
        slider = page.get_by_role("slider", name="Rating of version 5")
        slider.click(position={"x": slider.bounding_box()["width"] / 2, "y": 1})
        expected[ids[4]] = 100
        assert slider.get_attribute("aria-valuetext") == "100, excellent"
        if number == 1:
            # What was rated outlives a reload.
            page.reload()
            page.locator("#work").wait_for()
            assert ids_shown(page) == ids and page.locator("output").all_inner_texts() == [
                "59",
                "69",
                "79",
                "89",
                "100",
            ]
        onward.click()
    page.get_by_role("heading", name="Thank you").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download results").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.name == f"mushra_{key.test}_Ada_L_.json"
    assert page.get_by_label("Or copy this text").input_value() == path.read_text()
    listener = read_listener(path, key)
    assert listener.name == "Ada L."
    systems = {id: (each.name, system) for each in key.trials for id, system in each.signals.items()}
    found = {id: listener.ratings[name][system] for id, (name, system) in systems.items()}
    assert found == expected
    analysis = analyze([listener], key, post_screening=False)
    assert {one.num_ratings for one in analysis.systems} == {2}


@pytest.mark.needs_tool("chromium")
def test_moving_on_takes_hearing_as_well_as_rating(folder, page):
    begin(page, (folder / "index.html").as_uri())
    for place in range(1, 6):
        page.keyboard.press(str(place))
        page.keyboard.press("End")
    assert page.locator("#left").inner_text() == "Still 5 to hear"
    page.keyboard.press("Space")
    assert page.locator("#left").inner_text() == "Still 4 to hear"
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    assert page.locator("#next").is_enabled()


@pytest.mark.needs_tool("chromium")
def test_the_loop_can_be_narrowed_and_widened(folder, page):
    begin(page, (folder / "index.html").as_uri())
    wave = page.locator("#wave").bounding_box()
    middle = wave["y"] + wave["height"] / 2
    page.mouse.move(wave["x"] + wave["width"] * 0.25, middle)
    page.mouse.down()
    page.mouse.move(wave["x"] + wave["width"] * 0.75, middle)
    page.mouse.up()
    loop = [float(page.get_by_label(name, exact=True).input_value()) for name in ("Loop from", "to")]
    assert loop == pytest.approx([0.25, 0.75], abs=0.02)
    page.get_by_role("button", name="Whole recording").click()
    assert float(page.get_by_label("to", exact=True).input_value()) == 1


@pytest.mark.needs_tool("chromium")
def test_all_versions_start_at_one_instant_and_only_the_chosen_one_sounds(folder, page):
    page.add_init_script(
        "window.starts = []; const start = AudioBufferSourceNode.prototype.start;"
        "AudioBufferSourceNode.prototype.start = function (at) { starts.push(at); start.call(this, at); };"
    )
    begin(page, (folder / "index.html").as_uri())
    page.keyboard.press("Space")
    page.keyboard.press("2")
    page.wait_for_function("parseFloat(document.querySelector('#clock').textContent) > 0.1")
    starts = page.evaluate("starts")
    assert len(starts) == 6 and len(set(starts)) == 1
    gains = page.evaluate("[...player.voices.values()].map(({ gain }) => gain.gain.value)")
    assert gains == [0, 0, 1, 0, 0, 0]
    assert page.evaluate("player.ctx.sampleRate") == RATE
    lengths = page.evaluate("[...player.buffers.values()].map((buffer) => buffer.length)")
    assert set(lengths) == {RATE}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.mark.needs_tool("chromium")
def test_the_folder_can_be_served_over_http(folder, page):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        begin(page, f"http://127.0.0.1:{server.server_address[1]}/index.html")
        page.keyboard.press("Space")
        page.wait_for_function("parseFloat(document.querySelector('#clock').textContent) > 0.1")
    finally:
        page.close()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.needs_tool("chromium")
def test_a_missing_recording_is_said(browser, folder):
    for path in Path(folder / "audio").glob("*.js"):
        path.unlink()
    page = browser.new_page()
    page.goto((folder / "index.html").as_uri())
    page.get_by_label("Your name").fill("Ada")
    page.keyboard.press("Enter")
    page.get_by_text("A recording can't be loaded").wait_for()
