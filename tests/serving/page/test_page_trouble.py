"""What a listener is told where something doesn't work, or has to wait."""

import json
import re

import pytest

from page_actions import encode, give, status

pytestmark = pytest.mark.needs_tool("chromium")


def test_a_file_that_is_no_audio_is_refused_in_a_sentence(page):
    page.locator("#file").set_input_files({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no audio at all"})
    status(page, "This browser can't play this format")
    page.get_by_role("button", name="Encode and listen").click()
    alert = page.get_by_role("alert")
    alert.get_by_text("The service can't use this file: ").wait_for()
    assert re.fullmatch(r"Request [0-9a-f]{32}", page.locator("#alert-request").inner_text())
    page.get_by_role("button", name="Close this message").click()
    assert alert.is_hidden()
    page.locator("#file").set_input_files({"name": "b.nac", "mimeType": "", "buffer": b"\x89NAC but no more"})
    alert.get_by_text("The service can't use this file: ").wait_for()
    assert page.locator("#name").inner_text() == "notes.txt"


def test_what_is_too_much_for_the_service_is_not_sent(page, make_audio):
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    alert = page.get_by_role("alert")
    page.locator("#file").set_input_files({"name": "big.wav", "mimeType": "audio/wav", "buffer": bytes(2**20 + 1)})
    alert.get_by_text("big.wav has 1.05 MB; the service takes up to 1.05 MB at once.").wait_for()
    long = make_audio(seconds=25)
    page.locator("#file").set_input_files({"name": "long.wav", "mimeType": "audio/wav", "buffer": long})
    alert.get_by_text("long.wav lasts 0:25; the service takes up to 0:20 at once.").wait_for()
    assert not [url for url in sent if "/v1/" in url]


def test_a_missing_microphone_is_said(page):
    alert = page.get_by_role("alert")
    for name, sentence in {
        "NotAllowedError": "The browser refused the microphone.",
        "NotFoundError": "No microphone was found.",
        "OddError": "The microphone can't be used (OddError).",
    }.items():
        page.evaluate(
            "(name) => { MediaDevices.prototype.getUserMedia = async () => { throw new DOMException('no', name); } }",
            name,
        )
        page.get_by_role("button", name="Record").click()
        alert.get_by_text(sentence).wait_for()
    page.evaluate("Object.defineProperty(Navigator.prototype, 'mediaDevices', { value: undefined })")
    page.get_by_role("button", name="Record").click()
    alert.get_by_text("This browser has no microphone to offer. Choose a file instead.").wait_for()
    assert page.get_by_role("button", name="Record").is_enabled()


def test_work_can_be_cancelled(page, clip):
    held = []
    page.route("**/v1/encode*", lambda route: held.append(route))
    give(page, clip)
    page.get_by_role("button", name="Encode and listen").click()
    page.get_by_role("button", name="Cancel").click()
    status(page, "Cancelled.")
    assert page.get_by_role("button", name="Encode and listen").is_enabled() and page.get_by_role("alert").is_hidden()
    held[0].abort()
    page.unroute("**/v1/encode*")
    encode(page)


def answer(status, code, message, **headers):
    body = {"error": {"code": code, "message": message}, "request_id": "asked-1"}
    return {"status": status, "headers": headers, "content_type": "application/json", "body": json.dumps(body)}


def test_a_key_is_asked_for_when_the_service_wants_one(open_page, clip):
    def guard(route):
        headers = dict(route.request.headers)
        if headers.pop("authorization", None) == "Bearer good":
            route.fallback(headers=headers)  # the service behind has no keys
        else:
            route.fulfill(**answer(401, "no_key", "there is no key, or not a good one"))

    page = open_page(lambda page: page.route("**/v1/**", guard))
    key = page.get_by_label("This service asks for a key")
    key.fill("bad")
    key.press("Enter")
    page.get_by_role("alert").get_by_text("The service asks for an API key: there is no key").wait_for()
    key.fill("good")
    key.press("Enter")
    page.locator("#model:enabled").wait_for()
    assert key.is_hidden() and page.get_by_role("alert").is_hidden()
    page.reload()  # kept for the tab
    page.locator("#model:enabled").wait_for()
    give(page, clip)
    encode(page)
    assert page.evaluate("[sessionStorage.length, localStorage.length]") == [1, 0]


def test_a_service_that_loads_or_is_busy_is_waited_for_and_told(open_page, clip):
    loading = [answer(503, "not_ready", "the model is still loading", **{"Retry-After": "1"})]
    page = open_page(
        lambda page: page.route(
            "**/v1/models", lambda route: route.fulfill(**loading.pop()) if loading else route.fallback()
        )
    )
    status(page, "The model is still loading")
    page.locator("#model:enabled").wait_for()
    busy = answer(429, "rate", "this key's rate is used up", **{"Retry-After": "7"})
    page.route("**/v1/encode*", lambda route: route.fulfill(**busy))
    give(page, clip)
    page.get_by_role("button", name="Encode and listen").click()
    sentence = "This API key has used up its share for now: this key's rate is used up. Try again in 7 s."
    page.get_by_role("alert").get_by_text(sentence).wait_for()
    assert page.locator("#alert-request").inner_text() == "Request asked-1"
