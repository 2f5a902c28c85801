"""The HTTP API: how it refuses, each time in the one shape, and what it bounds."""

import dataclasses
import io
import threading

import numpy as np
import pytest

from codec.audio import read_audio
from codec.compress import compress
from codec.container import Header, write_container
from service_app import error_of


@pytest.mark.parametrize("route", ["/v1/encode", "/v1/decode"])
def test_empty_body(client, route):
    assert error_of(client.post(route, content=b""), 400) == "empty_body"
    assert error_of(client.post(route, files={"file": b""}), 400) == "empty_body"


@pytest.mark.parametrize("name", ["text", "cut_header", "nan", "infinity", "no_samples"])
def test_bad_audio(client, make_audio, name):
    samples = np.zeros(100, np.float32)
    data = {
        "text": b"this is a text file named .wav",
        "cut_header": make_audio()[:20],
        "nan": make_audio(samples=np.append(samples, np.float32("nan")), subtype="FLOAT"),
        "infinity": make_audio(samples=np.append(samples, np.float32("inf")), subtype="FLOAT"),
        "no_samples": make_audio(samples=samples[:0]),
    }[name]
    assert error_of(client.post("/v1/encode", content=data), 400) == "bad_audio"


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"bitrate_kbps": "7"}, 400, "bad_bitrate"),
        ({"bitrate_kbps": "-1"}, 400, "bad_bitrate"),
        ({"num_quantizers": "0"}, 400, "bad_bitrate"),
        ({"num_quantizers": "5"}, 400, "bad_bitrate"),
        ({"num_quantizers": "1", "bitrate_kbps": "1"}, 400, "bad_bitrate"),
        ({"bitrate_kbps": "nan"}, 422, "invalid_request"),
        ({"bitrate_kbps": "fast"}, 422, "invalid_request"),
        ({"num_quantizers": "1.5"}, 422, "invalid_request"),
        ({"bitrate": "1"}, 422, "invalid_request"),
    ],
)
def test_bad_parameters_in_url_and_form(client, make_audio, parameters, status, code):
    data = make_audio(seconds=0.01)
    assert error_of(client.post("/v1/encode", params=parameters, content=data), status) == code
    assert error_of(client.post("/v1/encode", files={"file": data}, data=parameters), status) == code


def test_a_parameter_twice_is_refused(client, make_audio):
    response = client.post("/v1/encode?num_quantizers=1", files={"file": make_audio()}, data={"num_quantizers": "2"})
    assert error_of(response, 422) == "invalid_request"


def test_unknown_decode_format(client):
    assert error_of(client.post("/v1/decode?format=mp3", content=b"x"), 422) == "invalid_request"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "multipart/form-data"}, b"x"),
        ({"Content-Type": "multipart/form-data; boundary=b"}, b"no boundary here"),
        ({"Content-Type": "multipart/form-data; boundary=b"}, b"--b\r\nContent-Type: a/b\r\n\r\nx\r\n--b--\r\n"),
        (
            {"Content-Type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="other"; filename="a"\r\n\r\nx\r\n--b--\r\n',
        ),
        (
            {"Content-Type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nhttp://127.0.0.1/a.wav\r\n--b--\r\n',
        ),
    ],
)
def test_malformed_forms(client, headers, body):
    assert error_of(client.post("/v1/encode", headers=headers, content=body), 400) == "bad_form"


def test_two_files_are_refused(client, make_audio):
    files = [("file", make_audio()), ("file", make_audio())]
    assert error_of(client.post("/v1/encode", files=files), 400) == "bad_form"


def test_damaged_containers(client, make_audio):
    container = client.post("/v1/encode", content=make_audio()).content
    for index in range(0, len(container), 7):
        flipped = bytearray(container)
        flipped[index] ^= 0x40
        assert error_of(client.post("/v1/decode", content=bytes(flipped)), 400) == "bad_bitstream", index
    assert error_of(client.post("/v1/decode", content=container[: len(container) // 2]), 400) == "bad_bitstream"
    assert error_of(client.post("/v1/decode", content=container + b"x"), 400) == "bad_bitstream"
    assert error_of(client.post("/v1/decode", content=make_audio()), 400) == "bad_bitstream"


def test_another_models_container(client, other_model, make_audio):
    container = compress(other_model, read_audio(io.BytesIO(make_audio())))
    assert error_of(client.post("/v1/decode", content=container), 409) == "model_mismatch"


def forge(model, **changes):
    """Return a whole container of one frame with the header's fields changed."""
    header = Header(
        codec_name="tiny",
        fingerprint=model.package.short_fingerprint,
        sample_rate=8_000,
        num_samples=32,
        source_sample_rate=8_000,
        source_num_samples=32,
        channels=1,
        num_streams=1,
        num_quantizers=1,
        codebook_size=16,
        hop_length=32,
        frames_per_block=250,
    )
    header = dataclasses.replace(header, **changes)
    shape = (header.num_streams, header.num_quantizers, header.num_frames)
    return write_container(header, np.zeros(shape, np.int64))


@pytest.mark.parametrize(
    "changes",
    [
        {"source_sample_rate": 2**32 - 1, "source_num_samples": 2**24},
        {"source_sample_rate": 1, "source_num_samples": 1, "num_samples": 8_000},
        {"num_samples": 301 * 8_000, "source_num_samples": 301 * 8_000},
        {"source_num_samples": 2**60},
        {"channels": 200},
    ],
)
def test_container_bombs(client, model, changes):
    assert client.post("/v1/decode", content=forge(model)).status_code == 200
    assert error_of(client.post("/v1/decode", content=forge(model, **changes)), 413) == "too_large"


@pytest.mark.parametrize("claim", [{"channels": 1024}, {"sample_rate": 1}, {"sample_rate": 2**31 - 1}, {"channels": 3}])
def test_audio_bombs_by_header(client, wav_header, claim):
    assert client.post("/v1/encode", content=wav_header()).status_code == 200
    assert error_of(client.post("/v1/encode", content=wav_header(**claim)), 413) == "too_large"


def test_an_hour_of_silence_is_refused(client, make_audio):
    data = make_audio(samples=np.zeros(3600 * 8_000, np.int16), format="flac")
    assert len(data) < 1_000_000
    assert error_of(client.post("/v1/encode", content=data), 413) == "too_large"


def test_body_limit_with_and_without_a_length(make_client, make_audio):
    client = make_client(max_body_bytes=10_000)
    data = make_audio(seconds=1)
    assert error_of(client.post("/v1/encode", content=data), 413) == "too_large"
    assert error_of(client.post("/v1/encode", files={"file": data}), 413) == "too_large"
    sent = []

    async def chunks():
        for start in range(0, len(data), 1000):
            sent.append(start)
            yield data[start : start + 1000]

    assert error_of(client.post("/v1/encode", content=chunks()), 413) == "too_large"
    assert len(sent) < len(range(0, len(data), 1000))
    assert error_of(client.post("/v1/decode", content=data), 413) == "too_large"
    assert client.post("/v1/encode", content=make_audio(seconds=0.5)).status_code == 200


def test_seconds_limit(make_client, make_audio):
    client = make_client(max_seconds=0.5)
    assert client.post("/v1/encode", content=make_audio(seconds=0.5)).status_code == 200
    assert error_of(client.post("/v1/encode", content=make_audio(seconds=0.6)), 413) == "too_large"


def test_before_the_model_is_loaded(make_client, make_audio):
    client = make_client(load=False)
    assert client.get("/livez").json() == {"status": "ok"}
    for response in (client.get("/readyz"), client.get("/v1/models"), client.post("/v1/encode", content=b"x")):
        assert error_of(response, 503) == "not_ready"
        assert int(response.headers["Retry-After"]) >= 1


def test_ready_once_loaded(client):
    assert client.get("/readyz").json() == {"status": "ok"}


def test_no_route_and_wrong_method(client):
    assert error_of(client.get("/v1/nothing"), 404) == "not_found"
    assert error_of(client.get("/v1/models/"), 404) == "not_found"
    response = client.get("/v1/encode")
    assert error_of(response, 405) == "method_not_allowed"
    assert response.headers["Allow"] == "POST"


def test_beyond_its_places_the_service_refuses_at_once(make_client, make_audio, monkeypatch):
    client = make_client(concurrency=1, queue=1)
    data = make_audio()
    working, go_on = threading.Event(), threading.Event()
    import serving.conversion

    encode_source = serving.conversion.encode_source

    def slow(*arguments, **choice):
        working.set()
        assert go_on.wait(30)
        return encode_source(*arguments, **choice)

    monkeypatch.setattr(serving.conversion, "encode_source", slow)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(client.post("/v1/encode", content=data))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    assert working.wait(30)
    while client.engine._admitted < 2:
        pass
    refused = client.post("/v1/encode", content=data)
    assert error_of(refused, 503) == "overloaded"
    assert int(refused.headers["Retry-After"]) >= 1
    assert client.get("/livez").status_code == 200
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert [answer.status_code for answer in answers] == [200, 200]
    assert client.post("/v1/encode", content=data).status_code == 200


def test_an_unforeseen_failure_tells_nothing(client, make_audio, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("secret/path/of/this/machine")

    monkeypatch.setattr("serving.conversion.encode_source", broken)
    response = client.post("/v1/encode", content=make_audio(), headers={"X-Request-ID": "find-me"})
    assert error_of(response, 500) == "internal"
    assert "secret" not in response.text
    assert "find-me" in caplog.text
    assert "secret/path" in caplog.text


def test_a_stretch_beyond_the_end_is_refused(client, make_audio):
    container = client.post("/v1/encode", content=make_audio(seconds=1)).content
    assert error_of(client.post("/v1/decode?start=2", content=container), 400) == "bad_audio"
    assert error_of(client.post("/v1/decode?start=-1", content=container), 422) == "invalid_request"


def test_flac_has_no_float(client, make_audio):
    container = client.post("/v1/encode", content=make_audio()).content
    answer = client.post("/v1/decode?format=flac&bit_depth=float", content=container)
    assert error_of(answer, 422) == "invalid_request"
