"""The HTTP API: what it answers."""

import io
import threading

import numpy as np
import pytest
import soundfile

from codec.audio import read_audio
from codec.compress import compress
from codec.container import read_container, read_header
from service_app import error_of
from serving.limits import ServiceLimits


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


@pytest.mark.parametrize("samples", [np.full(1, 0.5), np.zeros(8000), np.full(8000, 1.0)])
def test_one_sample_silence_and_full_scale_work(client, make_audio, samples):
    response = client.post("/v1/encode", content=make_audio(samples=samples))
    assert response.status_code == 200
    decoded, _ = soundfile.read(io.BytesIO(client.post("/v1/decode", content=response.content).content))
    assert decoded.shape == samples.shape


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


@pytest.mark.parametrize(
    ("format", "bit_depth", "subtype"),
    [("wav", "16", "PCM_16"), ("wav", "24", "PCM_24"), ("wav", "float", "FLOAT"), ("flac", "24", "PCM_24")],
)
def test_decode_gives_the_bit_depth(client, make_audio, format, bit_depth, subtype):
    container = client.post("/v1/encode", content=make_audio()).content
    choice = {"format": format, "bit_depth": bit_depth}
    answer = client.post("/v1/decode", params=choice, content=container)
    assert soundfile.info(io.BytesIO(answer.content)).subtype == subtype


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
