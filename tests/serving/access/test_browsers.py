"""What browsers are told: headers, and which pages of other origins may read answers."""

import pytest
from fastapi import FastAPI, Response
from starlette.middleware.cors import CORSMiddleware
from starlette.testclient import TestClient

from codec.errors import NacreError
from serving.access.cors import allowed_origins, cors_options
from serving.access.headers import HEADERS, SecurityHeadersMiddleware
from serving.access.keyring import Keyring
from serving.access.middleware import AccessMiddleware
from serving.request import RequestMiddleware


@pytest.fixture
def client(store):
    """Everything in its order, for one page elsewhere."""
    app = FastAPI()

    @app.get("/v1/models")
    async def models():
        return {}

    @app.get("/v1/cached")
    async def cached():
        return Response(headers={"Cache-Control": "private", "Content-Security-Policy": "sandbox"})

    @app.get("/")
    async def page():
        return {}

    app.add_middleware(AccessMiddleware, keyring=Keyring(store), is_open=False)
    app.add_middleware(CORSMiddleware, **cors_options(("https://app.example",)))
    app.add_middleware(SecurityHeadersMiddleware)
    app.add_middleware(RequestMiddleware)
    return TestClient(app)


def test_every_answer_has_the_headers(client):
    for path in ("/", "/v1/models", "/nowhere"):
        answer = client.get(path)
        for name, value in HEADERS.items():
            assert answer.headers.get_list(name) == [value]


def test_the_policy_lets_the_page_do_what_it_does(client):
    policy = dict(part.split(" ", 1) for part in client.get("/").headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["script-src"] == policy["connect-src"] == "'self'"
    assert policy["media-src"] == "'self' blob:"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe-eval" not in str(policy)
    assert "microphone=(self)" in client.get("/").headers["Permissions-Policy"]


def test_answers_of_the_api_are_not_kept(client, make_key):
    headers = {"Authorization": f"Bearer {make_key()}"}
    assert client.get("/v1/models", headers=headers).headers["Cache-Control"] == "no-store"
    assert client.get("/v1/models").headers["Cache-Control"] == "no-store"
    assert "Cache-Control" not in client.get("/").headers


def test_an_answer_keeps_its_own(client, make_key):
    answer = client.get("/v1/cached", headers={"Authorization": f"Bearer {make_key()}"})
    assert answer.headers["Cache-Control"] == "private"
    assert answer.headers["Content-Security-Policy"] == "sandbox"


def test_a_page_that_is_allowed(client):
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "Authorization, Content-Type, Idempotency-Key",
    }
    answer = client.options("/v1/encode", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Access-Control-Allow-Credentials" not in answer.headers
    refused = client.get("/v1/models", headers={"Origin": "https://app.example"})
    assert refused.status_code == 401
    assert refused.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "X-Request-ID" in refused.headers["Access-Control-Expose-Headers"]


def test_a_page_that_is_not(client):
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/v1/encode", headers=asked).status_code == 400
    assert "Access-Control-Allow-Origin" not in client.get("/", headers=asked).headers


def test_origins_from_the_environment(monkeypatch):
    monkeypatch.delenv("NACRE_CORS_ORIGINS", raising=False)
    assert allowed_origins() == ()
    monkeypatch.setenv("NACRE_CORS_ORIGINS", "https://a.example, http://localhost:5173,")
    assert allowed_origins() == ("https://a.example", "http://localhost:5173")


@pytest.mark.parametrize(
    "text", ["*", "null", "a.example", "https://a.example/", "https://*.example", "ftp://a.example"]
)
def test_what_is_no_origin(monkeypatch, text):
    monkeypatch.setenv("NACRE_CORS_ORIGINS", f"https://a.example,{text}")
    with pytest.raises(NacreError, match="NACRE_CORS_ORIGINS has"):
        allowed_origins()
