"""What is served under `/` and `/page/`, and how."""

import re

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from serving.access.headers import CONTENT_SECURITY_POLICY, SecurityHeadersMiddleware
from serving.page_routes import FOLDER, page_routes, read_page


@pytest.fixture(scope="module")
def client():
    app = FastAPI()
    app.add_middleware(SecurityHeadersMiddleware)
    app.include_router(page_routes())
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/page/style.css", "text/css; charset=utf-8"),
        ("/page/main.js", "text/javascript; charset=utf-8"),
        ("/page/icon.svg", "image/svg+xml"),
        ("/page/vendor/wavesurfer/wavesurfer.esm.js", "text/javascript; charset=utf-8"),
        ("/page/vendor/wavesurfer/LICENSE.txt", "text/plain; charset=utf-8"),
    ],
)
def test_a_file_has_its_type_and_the_policy(client, path, media_type):
    answer = client.get(path)
    assert answer.status_code == 200 and answer.content
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    head = client.head(path)
    assert head.status_code == 200 and not head.content
    assert head.headers["Content-Length"] == str(len(answer.content))


def test_a_browser_asks_again_and_gets_only_what_changed(client):
    first = client.get("/page/style.css")
    assert first.headers["Cache-Control"] == "no-cache"
    etag = first.headers["ETag"]
    for asked in (etag, f'"other", W/{etag}', "*"):
        again = client.get("/page/style.css", headers={"If-None-Match": asked})
        assert again.status_code == 304 and not again.content and again.headers["ETag"] == etag
    assert client.get("/page/style.css", headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.get("/").headers["ETag"] != etag


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/nothing.js",
        "/page/../page_routes.py",
        "/page/%2e%2e/page_routes.py",
        "/page/..%2fpage_routes.py",
        "/page//etc/passwd",
        "/page/vendor/wavesurfer",
        "/page/vendor/wavesurfer/README.md",
    ],
)
def test_only_the_files_of_the_page_are_served(client, path):
    assert client.get(path).status_code == 404


def test_hidden_and_unknown_files_are_left_out(tmp_path):
    for name in ("index.html", "notes.md", ".DS_Store", "main.js~"):
        (tmp_path / name).write_text("x")
    assert set(read_page(tmp_path)) == {"index.html"}


def test_the_page_is_no_part_of_the_described_api(client):
    assert client.get("/openapi.json").json()["paths"] == {}


def test_the_page_names_nothing_that_is_not_served():
    files = read_page(FOLDER)
    for name in [name for name in files if name.endswith((".html", ".js")) and "vendor" not in name]:
        text = (FOLDER / name).read_text()
        named = re.findall(r'(?:src|href)="/page/([^"]+)"|from "\./([^"]+)"|import "\./([^"]+)"', text)
        assert {"".join(each) for each in named} <= set(files), name
        assert not re.search(r'https?://(?!www\.w3\.org/)|\son[a-z]+="|<style|style="', text), name


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_pair_of_text_and_ground_has_the_contrast_of_wcag_aa():
    style = (FOLDER / "style.css").read_text()
    colours = {name: pair for name, *pair in re.findall(r"--([a-z-]+): light-dark\((#\w{6}), (#\w{6})\);", style)}
    pairs = [(text, ground) for text in ("ink", "soft", "accent") for ground in ("panel", "well", "tint", "ground")]
    for text, ground in [*pairs, ("on-accent", "accent"), ("alarm", "alarm-ground")]:
        for one, other in zip(colours[text], colours[ground], strict=True):
            dark, light = sorted([luminance(one), luminance(other)])
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)
