"""The page of a listening test, in a browser."""

import functools
import http.server
import shutil
import threading

import pytest

from listening import RATE
from training.evaluation.listening.analysis import analyze
from training.evaluation.listening.results import read_listener

pytestmark = pytest.mark.needs_tool("chromium")


@pytest.fixture(scope="module")
def browser():
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
    page.close()
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


def test_a_listener_rates_by_keyboard_and_mouse_and_sends_results(tmp_path, written_test, key, page):
    begin(page, (written_test / "index.html").as_uri())
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


def test_moving_on_takes_hearing_as_well_as_rating(written_test, page):
    begin(page, (written_test / "index.html").as_uri())
    for place in range(1, 6):
        page.keyboard.press(str(place))
        page.keyboard.press("End")
    assert page.locator("#left").inner_text() == "Still 5 to hear"
    page.keyboard.press("Space")
    assert page.locator("#left").inner_text() == "Still 4 to hear"
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    assert page.locator("#next").is_enabled()


def test_the_loop_can_be_narrowed_and_widened(written_test, page):
    begin(page, (written_test / "index.html").as_uri())
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


def test_all_versions_start_at_one_instant_and_only_the_chosen_one_sounds(written_test, page):
    page.add_init_script(
        "window.starts = []; const start = AudioBufferSourceNode.prototype.start;"
        "AudioBufferSourceNode.prototype.start = function (at) { starts.push(at); start.call(this, at); };"
    )
    begin(page, (written_test / "index.html").as_uri())
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


def test_the_folder_can_be_served_over_http(written_test, page):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(written_test)))
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


def test_a_missing_recording_is_said(browser, own_test):
    for path in (own_test / "audio").glob("*.js"):
        path.unlink()
    page = browser.new_page()
    page.goto((own_test / "index.html").as_uri())
    page.get_by_label("Your name").fill("Ada")
    page.keyboard.press("Enter")
    page.get_by_text("A recording can't be loaded").wait_for()
    page.close()
