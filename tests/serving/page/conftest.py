"""The page in a browser, against the service as it is: the API on the tiny package, on a socket."""

import shutil
from urllib.parse import urlsplit

import pytest

from running_service import serving
from service_app import make_app
from serving.engine import Engine
from serving.limits import ServiceLimits

# The browser's own report of a failure of the service, which the page tells about.
ANSWER = "Failed to load resource:"


@pytest.fixture(scope="session")
def app(package, tmp_path_factory):
    limits = ServiceLimits(max_body_bytes=2**20, max_seconds=20)
    engine = Engine(limits)
    engine.load(str(package))
    yield make_app(engine, limits, tmp_path_factory.mktemp("service"))
    engine.close()


@pytest.fixture(scope="session")
def service(app):
    """Return the URL of a running service."""
    with serving(app) as url:
        yield url


@pytest.fixture(scope="module")  # while it is open its event loop runs in this thread, and no other test's can
def browser():
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
    microphone = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments + microphone)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, service):
    """Open the page; it may ask no other host for anything, and report no error of its own."""
    contexts, faults = [], []

    def requested(request):
        if not request.url.startswith(("blob:", "data:")) and urlsplit(request.url).netloc != urlsplit(service).netloc:
            faults.append(request.url)

    def answered(answer):
        if answer.status >= 400 and "/v1/" not in answer.url:
            faults.append(answer.url)

    def told(message):
        if message.type in ("error", "warning") and not message.text.startswith(ANSWER):
            faults.append(message.text)

    def make(before=lambda page: None, **options):
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("request", requested)
        page.on("response", answered)
        page.on("console", told)
        page.on("pageerror", lambda error: faults.append(str(error)))
        before(page)
        page.goto(service)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not faults


@pytest.fixture
def page(open_page):
    """The page, ready to encode."""
    page = open_page()
    page.locator("#model:enabled").wait_for()
    return page


@pytest.fixture
def clip(make_audio):
    """A second and a half of noise, as Playwright uploads it."""
    return {"name": "clip.wav", "mimeType": "audio/wav", "buffer": make_audio(seconds=1.5)}
