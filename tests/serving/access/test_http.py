"""Who gets through, over HTTP."""

import logging

import pytest

from serving.access.failures import MAX_FAILURES


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


def error_of(response, status):
    assert response.status_code == status, response.text
    body = response.json()
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert set(body) == {"error", "request_id"}
    if status == 401:
        assert response.headers["WWW-Authenticate"] == "Bearer"
    if status in (429, 503):
        assert int(response.headers["Retry-After"]) > 0
    return body["error"]["code"]


def test_a_key_gives_its_name(far, make_key):
    answer = far.post("/v1/encode", headers=bearer(make_key("alice")))
    assert answer.json() == {"path": "v1/encode", "owner": "alice"}


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer "])
def test_the_scheme_in_any_case(far, make_key, scheme):
    assert far.get("/v1/models", headers={"Authorization": f"{scheme} {make_key()}"}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/models", "/v1/encode", "/metrics", "/nowhere", "/page", "/livez/"])
def test_without_a_key(far, make_key, path):
    make_key()
    assert error_of(far.get(path), 401) == "no_key"


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/page/vendor/a.js", "/livez", "/readyz", "/openapi.json"])
def test_open_paths(far, path):
    assert far.get(path).json()["owner"] == ""


def test_preflights_pass(far):
    assert far.options("/v1/encode").status_code == 405  # the app's answer: there is no such method here


@pytest.mark.parametrize("header", ["Bearer", "Bearer  ", "Bearer nacre_1", "bearer ä"])
def test_bad_keys(far, make_key, header):
    make_key()
    assert error_of(far.get("/v1/models", headers={"Authorization": header.encode()}), 401) == "bad_key"


@pytest.mark.parametrize("header", ["Basic YTpi", "", "Digest x"])
def test_another_scheme_is_no_key(far, make_key, header):
    make_key()
    assert error_of(far.get("/v1/models", headers={"Authorization": header}), 401) == "no_key"


def test_a_key_in_the_url_is_none(far, make_key):
    text = make_key()
    assert error_of(far.get("/v1/models", params={"key": text, "Authorization": f"Bearer {text}"}), 401) == "no_key"


def test_on_its_own_machine_nobody_needs_a_key(near):
    assert near.get("/v1/models").json()["owner"] == ""
    assert near.get("/metrics").status_code == 200


def test_on_its_own_machine_a_key_is_looked_at_all_the_same(near, make_key):
    assert near.get("/v1/models", headers=bearer(make_key("alice"))).json()["owner"] == "alice"
    assert error_of(near.get("/v1/models", headers=bearer("wrong")), 401) == "bad_key"


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"X-Forwarded-For": "192.0.2.1"}],
    ids=str,
)
def test_others_by_way_of_its_own_machine_need_one(near, make_key, headers):
    assert error_of(near.post("/v1/encode", headers=headers), 401) == "no_key"
    assert near.post("/v1/encode", headers=headers | bearer(make_key())).status_code == 200


def test_open_pages_of_other_origins(make_client):
    client = make_client(is_open=True, address="127.0.0.1", host="localhost", origins=("https://app.example",))
    assert client.post("/v1/encode", headers={"Origin": "https://app.example"}).status_code == 200


def test_metrics_are_free_on_the_machine_itself(make_client):
    inside = make_client(address="127.0.0.1", host="127.0.0.1:3000")
    assert inside.get("/metrics").status_code == 200
    assert error_of(inside.get("/v1/models"), 401) == "no_key"
    assert error_of(make_client(host="127.0.0.1:3000").get("/metrics"), 401) == "no_key"


def test_too_many_in_a_minute(far, make_key):
    headers = bearer(make_key("alice", requests_per_minute=2))
    assert [far.get("/v1/models", headers=headers).status_code for _ in range(2)] == [200, 200]
    assert error_of(far.get("/v1/models", headers=headers), 429) == "rate_limited"
    assert far.get("/livez", headers=headers).status_code == 200
    assert far.get("/v1/models", headers=bearer(make_key("bob"))).status_code == 401  # not seen yet


def test_a_request_that_fails_gives_its_place_back(far, make_key):
    headers = bearer(make_key(concurrency=1))
    assert [far.get("/v1/broken", headers=headers).status_code for _ in range(3)] == [500, 500, 500]


def test_wrong_keys_are_told_to_stop_and_good_ones_go_on(far, make_key, make_client):
    good = make_key()
    codes = [error_of(far.get("/v1/models", headers=bearer(f"guess {n}")), 401) for n in range(MAX_FAILURES)]
    assert set(codes) == {"bad_key"}
    assert error_of(far.get("/v1/models", headers=bearer("one more")), 429) == "too_many_failures"
    assert far.get("/v1/models", headers=bearer(good)).status_code == 200
    assert error_of(far.get("/v1/models"), 401) == "no_key"


def test_a_damaged_file_opens_nothing(far, near, make_key, store, clock, caplog):
    headers = bearer(make_key())
    assert far.get("/v1/models", headers=headers).status_code == 200
    store.path.write_text("{")
    clock.pass_by(2)
    with caplog.at_level(logging.CRITICAL):
        assert error_of(far.get("/v1/models", headers=headers), 503) == "keys_damaged"
        assert error_of(far.get("/v1/models"), 401) == "no_key"
        assert error_of(near.get("/v1/models", headers=headers), 503) == "keys_damaged"
