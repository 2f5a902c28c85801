"""The HTTP API: what it answers, and how it refuses."""

import dataclasses
import io
import threading

import numpy as np
import pytest
import soundfile

from codec.audio import read_audio
from codec.compress import compress
from codec.container import Header, read_container, read_header, write_container
from serving.limits import ServiceLimits


def error_of(response, status):
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"error", "request_id"}
    assert set(body["error"]) == {"code", "message"}
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert body["error"]["message"]
    return body["error"]["code"]


def test_encode_gives_the_container_and_its_facts(client, model, make_audio):
    data = make_audio(seconds=0.5)
    response = client.post("/v1/encode", content=data, headers={"Content-Type": "audio/wav"})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/vnd.nacre"
    assert response.content == compress(model, read_audio(io.BytesIO(data)))
    assert response.headers["X-Nacre-Model"] == "tiny"
    assert response.headers["X-Nacre-Fingerprint"] == model.package.fingerprint
    assert float(response.headers["X-Nacre-Seconds"]) == 0.5
    measured = len(response.content) * 8 / 0.5 / 1000
    assert float(response.headers["X-Nacre-Measured-Kbps"]) == pytest.approx(measured, abs=1e-3)


@pytest.mark.parametrize("format", ["wav", "flac"])
@pytest.mark.parametrize(("channels", "sample_rate"), [(1, 8_000), (2, 44_100), (1, 22_050)])
def test_decode_returns_to_rate_channels_and_length(client, make_audio, format, channels, sample_rate):
    data = make_audio(seconds=0.3, sample_rate=sample_rate, channels=channels)
    container = client.post("/v1/encode", content=data).content
    response = client.post("/v1/decode", params={"format": format}, content=container)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == f"audio/{format}"
    samples, rate = soundfile.read(io.BytesIO(response.content), always_2d=True)
    assert rate == sample_rate
    assert samples.shape == (round(0.3 * sample_rate), channels)


@pytest.mark.parametrize("format", ["flac", "ogg", "mp3"])
def test_compressed_uploads_are_taken(client, make_audio, format):
    assert client.post("/v1/encode", content=make_audio(format=format)).status_code == 200


@pytest.mark.parametrize("choice", [{"num_quantizers": 2}, {"bitrate_kbps": 2.0}])
def test_url_and_form_choose_the_same_bitrate(client, make_audio, choice):
    data = make_audio()
    by_url = client.post("/v1/encode", params=choice, content=data)
    by_form = client.post("/v1/encode", files={"file": data}, data={k: str(v) for k, v in choice.items()})
    mixed = client.post("/v1/encode", params=choice, files={"file": data})
    assert by_url.status_code == by_form.status_code == mixed.status_code == 200
    assert by_url.content == by_form.content == mixed.content
    assert read_header(by_url.content).num_quantizers == 2


def test_decode_takes_a_form(client, make_audio):
    container = client.post("/v1/encode", content=make_audio()).content
    response = client.post("/v1/decode", files={"file": container}, data={"format": "flac"})
    assert response.content[:4] == b"fLaC"


def test_large_forms_are_spooled_and_whole(client, make_audio):
    data = make_audio(seconds=100)
    assert len(data) > 1_000_000
    by_form = client.post("/v1/encode", files={"file": data}, data={"num_quantizers": "1"})
    assert by_form.content == client.post("/v1/encode?num_quantizers=1", content=data).content


def test_models_tells_what_is_served(client, model):
    (facts,) = client.get("/v1/models").json()["models"]
    assert facts["name"] == facts["reference"] == "tiny"
    assert facts["fingerprint"] == model.package.fingerprint
    assert facts["bitrates_kbps"] == [1.0, 2.0, 3.0, 4.0]
    assert (facts["sample_rate"], facts["channels"], facts["frame_rate"]) == (8000, 1, 250.0)


def test_openapi_describes_every_route(client):
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {
        "/v1/encode",
        "/v1/decode",
        "/v1/roundtrip",
        "/v1/models",
        "/v1/models/{name}",
        "/v1/limits",
        "/v1/jobs",
        "/v1/jobs/{job_id}",
        "/v1/jobs/{job_id}/result",
        "/livez",
        "/readyz",
    }
    encode = schema["paths"]["/v1/encode"]["post"]
    assert set(encode["requestBody"]["content"]) == {"audio/*", "multipart/form-data"}
    assert set(encode["responses"]["200"]["content"]) == {"application/vnd.nacre", "application/json"}
    assert {"400", "408", "409", "413", "415", "422", "500", "503"} <= set(encode["responses"])


@pytest.mark.parametrize(
    ("given", "kept"),
    [("job-7.a_B", True), ("x" * 64, True), ("x" * 65, False), ("", False), ("two words", False), ("a/b", False)],
)
def test_request_id_is_the_clients_if_it_is_clean(client, given, kept):
    for path in ("/livez", "/nowhere"):
        answer = client.get(path, headers={"X-Request-ID": given}).headers["X-Request-ID"]
        assert (answer == given) is kept
        assert answer


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


@pytest.mark.parametrize("samples", [np.full(1, 0.5), np.zeros(8000), np.full(8000, 1.0)])
def test_one_sample_silence_and_full_scale_work(client, make_audio, samples):
    response = client.post("/v1/encode", content=make_audio(samples=samples))
    assert response.status_code == 200
    decoded, _ = soundfile.read(io.BytesIO(client.post("/v1/decode", content=response.content).content))
    assert decoded.shape == samples.shape


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


def test_results_do_not_depend_on_company(client, make_audio):
    sounds = [make_audio(seconds=0.1 + 0.1 * index, seed=index) for index in range(8)]
    alone = [client.post("/v1/encode", content=data).content for data in sounds]
    together = [None] * len(sounds)

    def encode(index):
        together[index] = client.post("/v1/encode", content=sounds[index]).content

    threads = [threading.Thread(target=encode, args=(index,)) for index in range(len(sounds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert together == alone


def test_codes_as_json_are_the_containers(client, model, make_audio):
    data = make_audio(seconds=0.4, sample_rate=16_000, channels=2)
    container = client.post("/v1/encode?num_quantizers=3", content=data).content
    answer = client.post("/v1/encode?num_quantizers=3", content=data, headers={"Accept": "application/json"})
    assert answer.headers["Content-Type"] == "application/json"
    codes = answer.json()
    read = read_container(container)
    assert [stream["codes"] for stream in codes["streams"]] == read.codes.tolist()
    assert codes["offsets"] == [0, 16, 32]
    assert codes["frame_rate"] == 250.0
    assert (codes["channels"], codes["source_sample_rate"], codes["source_num_samples"]) == (2, 16_000, 6400)
    assert codes["fingerprint"] == model.package.fingerprint
    assert error_of(client.post("/v1/encode", content=data, headers={"Accept": "text/html"}), 406) == "not_acceptable"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/vnd.nacre"),
        ("application/*;q=0.5, application/json", "application/json"),
        ("application/json;q=0.1, application/vnd.nacre", "application/vnd.nacre"),
    ],
)
def test_accept_chooses_the_form(client, make_audio, accept, kind):
    answer = client.post("/v1/encode", content=make_audio(), headers={"Accept": accept})
    assert answer.headers["Content-Type"] == kind


def test_etag_names_content_model_and_choices(client, make_audio):
    data = make_audio()
    tag = client.post("/v1/encode", content=data).headers["ETag"]
    known = client.post("/v1/encode", content=data, headers={"If-None-Match": tag})
    assert (known.status_code, known.content, known.headers["ETag"]) == (304, b"", tag)
    for url, content, headers in [
        ("/v1/encode?num_quantizers=1", data, {}),
        ("/v1/encode", make_audio(seed=1), {}),
        ("/v1/encode", data, {"Accept": "application/json"}),
    ]:
        other = client.post(url, content=content, headers={"If-None-Match": tag, **headers})
        assert other.status_code == 200
        assert other.headers["ETag"] != tag
    container = client.post("/v1/encode", content=data).content
    tag = client.post("/v1/decode", content=container).headers["ETag"]
    assert client.post("/v1/decode", content=container, headers={"If-None-Match": tag}).status_code == 304
    assert client.post("/v1/decode?format=flac", content=container, headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize(("start", "duration"), [(0.25, 0.5), (0.7, None), (None, 0.3)])
def test_a_stretch_is_the_wholes(client, make_audio, start, duration):
    container = client.post("/v1/encode", content=make_audio(seconds=1)).content
    choice = {"bit_depth": "float"}
    whole, _ = soundfile.read(io.BytesIO(client.post("/v1/decode", params=choice, content=container).content))
    stretch = {"start": start, "duration": duration}
    choice |= {key: value for key, value in stretch.items() if value is not None}
    part, _ = soundfile.read(io.BytesIO(client.post("/v1/decode", params=choice, content=container).content))
    first = round((start or 0) * 8000)
    wanted = whole[first : first + round(duration * 8000) if duration else None]
    np.testing.assert_allclose(part, wanted, atol=1e-5)


def test_a_stretch_beyond_the_end_is_refused(client, make_audio):
    container = client.post("/v1/encode", content=make_audio(seconds=1)).content
    assert error_of(client.post("/v1/decode?start=2", content=container), 400) == "bad_audio"
    assert error_of(client.post("/v1/decode?start=-1", content=container), 422) == "invalid_request"


@pytest.mark.parametrize(
    ("format", "bit_depth", "subtype"),
    [("wav", "16", "PCM_16"), ("wav", "24", "PCM_24"), ("wav", "float", "FLOAT"), ("flac", "24", "PCM_24")],
)
def test_decode_gives_the_bit_depth(client, make_audio, format, bit_depth, subtype):
    container = client.post("/v1/encode", content=make_audio()).content
    choice = {"format": format, "bit_depth": bit_depth}
    answer = client.post("/v1/decode", params=choice, content=container)
    assert soundfile.info(io.BytesIO(answer.content)).subtype == subtype


def test_flac_has_no_float(client, make_audio):
    container = client.post("/v1/encode", content=make_audio()).content
    answer = client.post("/v1/decode?format=flac&bit_depth=float", content=container)
    assert error_of(answer, 422) == "invalid_request"


def test_roundtrip_is_encode_and_decode(client, make_audio):
    data = make_audio(seconds=0.5, sample_rate=22_050)
    choice = {"num_quantizers": 2, "format": "flac"}
    answer = client.post("/v1/roundtrip", params=choice, content=data)
    container = client.post("/v1/encode?num_quantizers=2", content=data)
    assert answer.content == client.post("/v1/decode?format=flac", content=container.content).content
    assert int(answer.headers["X-Nacre-Bytes"]) == len(container.content)
    assert answer.headers["X-Nacre-Measured-Kbps"] == container.headers["X-Nacre-Measured-Kbps"]
    by_form = client.post("/v1/roundtrip", files={"file": data}, data={"num_quantizers": "2", "format": "flac"})
    assert by_form.content == answer.content


def test_a_model_is_chosen_by_name(make_client, package, other_package, make_audio):
    client = make_client(str(package), str(other_package))
    first, second = client.get("/v1/models").json()["models"]
    assert (first["name"], second["name"]) == ("tiny", "other")
    assert client.get("/v1/models/other").json() == second
    assert error_of(client.get("/v1/models/nothing"), 404) == "unknown_model"
    data = make_audio()
    container = client.post("/v1/encode?model=other", content=data)
    assert container.headers["X-Nacre-Model"] == "other"
    decoded = client.post("/v1/decode", content=container.content)
    assert decoded.headers["X-Nacre-Model"] == "other"
    assert client.post("/v1/encode", content=data).headers["X-Nacre-Model"] == "tiny"
    assert error_of(client.post("/v1/encode?model=nothing", content=data), 404) == "unknown_model"


def test_limits_are_listed(make_client):
    listed = make_client(max_seconds=7).get("/v1/limits").json()
    assert listed["max_seconds"] == 7
    assert set(listed) == set(ServiceLimits.model_fields)
