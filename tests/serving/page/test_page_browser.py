"""The page as a listener uses it."""

import io
import itertools
import re

import httpx
import numpy as np
import pytest
import soundfile

from page_actions import encode, give, status

pytestmark = pytest.mark.needs_tool("chromium")

NOTHING = "\N{EN DASH}"
# Keeps the sources and gains that play, and when they start.
WATCH = """
  window.starts = []; window.gains = [];
  const start = AudioBufferSourceNode.prototype.start;
  AudioBufferSourceNode.prototype.start = function (...given) { starts.push(given); start.apply(this, given); };
  window.GainNode = class extends GainNode { constructor(...given) { super(...given); gains.push(this); } };
"""


def fact(page, name):
    return page.locator(f"[data-fact={name}] dd").all_inner_texts()


def clock(page):
    minutes, seconds = page.locator("#clock").inner_text().split(":")
    return 60 * int(minutes) + float(seconds)


def position(page):
    return float(page.get_by_role("slider", name="Position").get_attribute("aria-valuenow"))


def heard(page):
    return [page.locator(f"#use-{side}").get_attribute("aria-pressed") == "true" for side in "ab"].index(True)


def await_clock(page, seconds):
    while clock(page) < seconds:
        page.wait_for_timeout(20)


def saved(page, tmp_path, button):
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return path


def colours_drawn(page, lane):
    """Count the colours of a lane's spectrogram."""
    canvas = page.locator(f"#lane-{lane} .spectrum canvas").first
    canvas.wait_for()
    page.wait_for_timeout(100)
    return canvas.evaluate(
        "(canvas) => new Set(new Uint32Array(canvas.getContext('2d')"
        ".getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"
    )


def test_a_recording_is_encoded_decoded_and_told_about(page, service, clip, tmp_path):
    give(page, clip)
    assert page.get_by_role("button", name="A Original").is_enabled()
    assert page.get_by_role("button", name="B Decoded").is_disabled()
    encode(page, bitrate=1)
    answer = httpx.post(f"{service}/v1/encode?bitrate_kbps=2", content=clip["buffer"])
    size, pcm = len(answer.content), 2 * 12_000
    assert fact(page, "size")[0] == (f"{size} B" if size < 1000 else f"{size / 1000:.2f} kB")
    measured = float(answer.headers["X-Nacre-Measured-Kbps"])
    assert fact(page, "kbps") == [f"{round(measured, 2):g} kbps", "nominal: 2 kbps"]
    assert float(fact(page, "pcm")[0].split()[0]) == pytest.approx(100 * (1 - size / pcm), abs=0.6)
    assert float(fact(page, "file")[0].split()[0]) == pytest.approx(100 * (1 - size / len(clip["buffer"])), abs=0.6)
    assert fact(page, "seconds") == ["1.50 s", "8 kHz, mono"]
    assert fact(page, "model")[0] == "tiny"
    assert all("real time" in fact(page, name)[1] for name in ("encode", "decode"))
    assert colours_drawn(page, "a") > 20 and colours_drawn(page, "b") > 20
    path = saved(page, tmp_path, "Download container")
    assert path.name == "clip_2_kbps.nac" and path.read_bytes() == answer.content
    decoded = saved(page, tmp_path, "Download decoded")
    assert decoded.name == "clip_2_kbps.wav"
    assert decoded.read_bytes() == httpx.post(f"{service}/v1/decode", content=answer.content).content


def test_a_and_b_switch_at_once_and_keep_the_position(open_page, clip):
    page = open_page(lambda page: page.add_init_script(WATCH))
    page.locator("#model:enabled").wait_for()
    give(page, clip)
    encode(page)
    assert heard(page) == 1
    page.get_by_role("slider", name="Position").click(position={"x": 300, "y": 60})
    middle = position(page)
    assert 0.2 < middle < 1.3
    page.keyboard.press("a")
    assert heard(page) == 0 and position(page) == middle
    page.keyboard.press("Space")
    page.get_by_role("button", name="Pause").wait_for()
    await_clock(page, middle + 0.1)
    before = clock(page)
    page.keyboard.press("b")
    after = clock(page)
    assert heard(page) == 1 and before <= after < before + 0.5
    page.keyboard.press("Space")
    page.get_by_role("button", name="Play").wait_for()
    assert position(page) >= before
    # Both began at one instant and one place, and were never started again.
    starts = page.evaluate("starts")
    assert len(starts) == 2 and starts[0] == starts[1] and starts[0][1] == pytest.approx(middle, abs=0.01)
    gains = page.evaluate("gains.slice(-2).map(({ gain }) => gain.value)")
    assert min(gains) == 0 and 0.2 < max(gains) <= 1


def test_the_louder_side_is_brought_to_the_level_of_the_other(page):
    louder = page.evaluate(
        """async () => {
          const { levelDifference } = await import("/page/audio.js");
          const a = Float32Array.from({ length: 8000 }, (_, i) => (i < 4000 ? 0.1 * Math.sin(i / 5) : 0));
          const noisy = a.map((sample, i) => 2 * sample + (i < 4000 ? 0 : 0.05));
          return [noisy, a, a.map(() => 0)].map((b) => levelDifference(a, b, 8000));
        }"""
    )
    assert louder == pytest.approx([20 * np.log10(2), 0, 0], abs=0.05)


def test_everything_works_by_keyboard_alone(page):
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id"))
        if reached[-1] == "a speech-like example":
            break
    assert reached[0] == "Skip to the player"
    page.keyboard.press("Enter")
    status(page, "Ready to encode")
    while page.evaluate("document.activeElement.id") != "bitrate":
        page.keyboard.press("Tab")
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    assert page.get_by_role("slider", name="Bitrate").get_attribute("aria-valuetext") == "1 kbps"
    assert position(page) == 0
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    status(page, "Encoded to")
    assert page.evaluate("document.activeElement.id") == "play"
    page.keyboard.press("Space")
    await_clock(page, 0.1)
    page.keyboard.press("Space")
    page.get_by_role("button", name="Play").wait_for()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert position(page) == 2
    page.keyboard.press("[")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("l")
    assert page.get_by_role("button", name="Loop").get_attribute("aria-pressed") == "false"
    page.keyboard.press("End")
    assert position(page) == pytest.approx(3.1, abs=0.01)
    page.keyboard.press("a")
    status(page, "A, the original.")


def test_a_stretch_is_looped(page, clip):
    give(page, clip)
    lanes = page.get_by_role("slider", name="Position").bounding_box()
    page.mouse.move(lanes["x"] + 0.4 * lanes["width"], lanes["y"] + 60)
    page.mouse.down()
    page.mouse.move(lanes["x"] + 0.6 * lanes["width"], lanes["y"] + 60)
    page.mouse.up()
    assert page.get_by_role("button", name="Loop").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Space")
    times = []
    while len(times) < 45:
        times.append(clock(page))
        page.wait_for_timeout(20)
    assert min(times[5:]) >= 0.5 and max(times) <= 0.95
    assert any(later < earlier for earlier, later in itertools.pairwise(times))
    page.keyboard.press("Escape")
    assert page.locator(".stretch").is_hidden()
    page.keyboard.press("l")
    page.get_by_role("button", name="Play").wait_for()
    assert position(page) == pytest.approx(1.5, abs=0.01)


def test_bitrates_are_compared(page, clip):
    give(page, clip)
    for bitrate in (0, 3, 1):
        encode(page, bitrate)
    rows = page.get_by_role("radio")
    assert [row.get_attribute("value") for row in rows.all()] == ["1 kbps", "2 kbps", "4 kbps"]
    assert page.get_by_role("radio", checked=True).get_attribute("value") == "2 kbps"
    size = fact(page, "size")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    before = position(page)
    page.get_by_text("4 kbps", exact=True).last.click()
    status(page, "B is 4 kbps")
    assert page.get_by_role("button", name="B 4 kbps").get_attribute("aria-pressed") == "true"
    assert fact(page, "size") != size and fact(page, "kbps")[1] == "nominal: 4 kbps" and position(page) == before
    encode(page, 3)
    assert rows.count() == 3
    give(page, clip)
    assert rows.count() == 0 and fact(page, "size")[0] == NOTHING


def test_a_container_is_heard(page, service, make_audio, tmp_path):
    audio = make_audio(seconds=1.25, sample_rate=16_000, channels=2)
    container = httpx.post(f"{service}/v1/encode?bitrate_kbps=2", content=audio).content
    handed = page.evaluate_handle(
        """(bytes) => { const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "coded.nac")); return data; }""",
        list(container),
    )
    page.dispatch_event("body", "drop", {"dataTransfer": handed})
    status(page, "Decoded.")
    assert fact(page, "size")[0] == (
        f"{len(container) / 1000:.2f} kB" if len(container) > 999 else f"{len(container)} B"
    )
    assert fact(page, "seconds") == ["1.25 s", "16 kHz, stereo"]
    assert fact(page, "kbps")[1] == "nominal: 4 kbps"  # two streams
    assert fact(page, "encode")[0] == NOTHING and fact(page, "model")[0] == "tiny"
    assert page.get_by_text("A container holds only what was coded").is_visible()
    assert page.get_by_role("button", name="A Original").is_disabled()
    assert page.get_by_role("button", name="Encode and listen").is_disabled()
    page.keyboard.press("Space")
    await_clock(page, 0.1)
    path = saved(page, tmp_path, "Download decoded")
    assert path.name == "coded.wav" and soundfile.info(path).frames == 20_000


def test_the_microphone_is_recorded(page, tmp_path):
    record = page.get_by_role("button", name=re.compile("Record|Stop"))
    record.click()
    page.get_by_role("button", name="Stop, 0:01").wait_for()
    record.click()
    status(page, "Ready to encode")
    assert page.locator("#name").inner_text() == "Recording.wav" and record.inner_text() == "Record"
    encode(page)
    data = saved(page, tmp_path, "Download decoded").read_bytes()
    samples, sample_rate = soundfile.read(io.BytesIO(data))
    assert samples.ndim == 1 and len(samples) / sample_rate >= 1


def test_models_and_noise_can_be_chosen(open_page, service, clip):
    facts = httpx.get(f"{service}/v1/models").json()["models"][0]
    other = {**facts, "name": "other", "can_denoise": True, "bitrates_kbps": [3.0, 1.5]}
    asked = []
    page = open_page(
        lambda page: page.route("**/v1/models", lambda route: route.fulfill(json={"models": [facts, other]}))
    )
    page.locator("#model:enabled").wait_for()
    assert page.get_by_label("Leave noise out").is_hidden()
    page.get_by_label("Model").select_option("other")
    page.get_by_label("Leave noise out").check()
    assert page.get_by_role("slider", name="Bitrate").get_attribute("aria-valuetext") == "3 kbps"
    page.route("**/v1/encode*", lambda route: (asked.append(route.request.url), route.abort()))
    give(page, clip)
    page.get_by_role("button", name="Encode and listen").click()
    page.get_by_role("alert").get_by_text("The service can't be reached").wait_for()
    assert asked[0].endswith("/v1/encode?bitrate_kbps=3&model=other&denoise=true")


def test_light_and_dark_follow_the_system_until_chosen(open_page, clip):
    page = open_page(color_scheme="dark")
    page.locator("#model:enabled").wait_for()
    give(page, clip)

    def ground():
        return page.evaluate("getComputedStyle(document.querySelector('.panel')).backgroundColor")

    assert ground() == "rgb(23, 28, 34)"
    page.emulate_media(color_scheme="light")
    assert ground() == "rgb(255, 255, 255)"
    page.get_by_role("button", name="Theme").click()
    assert ground() == "rgb(23, 28, 34)"
    assert colours_drawn(page, "a") > 20
    page.reload()
    assert ground() == "rgb(23, 28, 34)"


@pytest.mark.parametrize("width", [320, 820])
def test_it_fits_a_phone_and_nothing_moves(open_page, clip, width):
    page = open_page(viewport={"width": width, "height": 800}, reduced_motion="reduce")
    page.locator("#model:enabled").wait_for()
    places = """["drop", "coding", "player", "results"].map(
      (id) => document.getElementById(id).getBoundingClientRect().top + scrollY)"""
    before = page.evaluate(places)
    give(page, clip)
    encode(page)
    assert page.evaluate(places) == before
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("getComputedStyle(document.querySelector('button')).transitionDuration") == "0s"
